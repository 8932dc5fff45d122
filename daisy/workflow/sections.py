"""The config as types: a dataclass per section, with the keys of `config_schema.yaml`, which describes each."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from daisy.common.compute import Compute
from daisy.downstream.settings import Batches, Fusion, Granularity
from daisy.hubert.config import Position

Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")


@dataclasses.dataclass(frozen=True)
class Commands:
    """``data.commands``."""

    train: int
    dev: int
    test: int


@dataclasses.dataclass(frozen=True)
class NoiseRecordings:
    """``data.noise``."""

    kinds: tuple[str, ...]
    tracks: int
    seconds: float
    voices: int


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """``data.mixtures.enhancement``."""

    train: int
    dev: int
    test: int
    speakers: tuple[str, ...]
    test_speakers: tuple[str, ...]
    snr_db: tuple[float, ...]
    test_snr_db: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Separation:
    """``data.mixtures.separation``."""

    train: int
    dev: int
    test: int
    test_speakers: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Mixtures:
    """``data.mixtures``."""

    seconds: tuple[float, float]
    enhancement: Enhancement
    separation: Separation


@dataclasses.dataclass(frozen=True)
class SplitShares:
    """``data.splits``."""

    dev: float
    test: float
    sid_min_recordings: int
    max_seconds: float
    max_per_speaker: int
    share: float


@dataclasses.dataclass(frozen=True)
class Data:
    """``data``; what it says of published corpora is theirs to read (`daisy.corpora.published.catalogue`)."""

    corpora: dict[str, str]
    published: dict[str, Any]
    packages: tuple[str, ...]
    commands: Commands
    noise: NoiseRecordings
    mixtures: Mixtures
    splits: SplitShares


@dataclasses.dataclass(frozen=True)
class UpstreamSection:
    """``upstream``."""

    checkpoint: str
    batch_seconds: float


@dataclasses.dataclass(frozen=True)
class TargetsSection:
    """``targets``."""

    kind: Literal["kmeans", "head"]
    layer: int
    clusters: int
    utterances: float
    share: float
    shards: int
    memory_gib: float


@dataclasses.dataclass(frozen=True)
class BranchesSection:
    """``branches``."""

    position: Position
    steps: int
    batch_seconds: float
    accumulate: int
    learning_rate: float
    save_every: int


@dataclasses.dataclass(frozen=True)
class StudentSection:
    """``student``."""

    layers: int
    heads: int
    front_end: bool
    steps: int
    warmup: float
    batch_seconds: float
    accumulate: int
    learning_rate: float
    save_every: int


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """``thresholds``."""

    signal: str
    rule: str
    rho: tuple[float, ...]
    absolute: dict[str, float | dict[str, float]]
    floor: int

    def absolute_at(self, task: str, rho: float) -> float | None:
        """The threshold in nats that the config gives a task at a scale, if it gives one."""
        given = self.absolute.get(task)
        return given.get(f"{rho:g}") if isinstance(given, dict) else given


@dataclasses.dataclass(frozen=True)
class DownstreamSection:
    """``downstream``."""

    methods: tuple[str, ...]
    baseline_states: Literal["daisy", "s3prl"]
    fusion: Fusion
    granularity: Granularity
    clip: float
    save_every: int


@dataclasses.dataclass(frozen=True)
class TaskExitsSection:
    """``tasks.<name>.task_exits``."""

    steps: int
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class TaskSection:
    """``tasks.<name>``; `options` are the task's own, and `task_exits` is for the tasks that can have them."""

    steps: int
    batch_size: int
    batches: Batches
    accumulate: int
    optimizer: Literal["adam", "adamw"]
    learning_rate: float
    schedule: Literal["constant", "linear"]
    dev_every: int
    q: float
    keep_states: tuple[Part, ...]
    options: dict[str, Any]
    task_exits: TaskExitsSection | None = None


@dataclasses.dataclass(frozen=True)
class AblationSection:
    """``ablation``."""

    layers: tuple[int, ...]
    clusters: tuple[int, ...]
    head: bool
    rho: float
    tasks: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class EvaluationSection:
    """``evaluation``."""

    strategies: tuple[str, ...]
    bootstrap_draws: int
    timed_recordings: int
    timing_rounds: int
    oracle: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NoiseSection:
    """``noise``."""

    tasks: tuple[str, ...]
    recordings: int
    kinds: tuple[str, ...]
    snr_db: tuple[float, ...]
    floors: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Examples:
    """``report.examples``."""

    count: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class ReportSection:
    """``report``."""

    examples: Examples
    against_published: bool
    beside: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole config, checked."""

    run: str
    results: str
    cache: str
    seed: int
    seeds: tuple[int, ...]
    workers: int
    upgrades: Literal["tell", "rerun"]
    compute: Compute
    data: Data
    upstream: UpstreamSection
    targets: TargetsSection
    branches: BranchesSection
    student: StudentSection
    thresholds: Thresholds
    downstream: DownstreamSection
    tasks: dict[str, TaskSection]
    ablation: AblationSection
    evaluation: EvaluationSection
    report: ReportSection
    noise: NoiseSection
