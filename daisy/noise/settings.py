"""Settings of the stages of the noise study."""

from __future__ import annotations

import dataclasses

from daisy.common.compute import Compute
from daisy.exits.method import Method


@dataclasses.dataclass(frozen=True)
class NoisySettings:
    """Config of `daisy.noise.noisy`.

    Attributes:
        seed: Seed of the recordings and of the noise.
        recordings: Test recordings drawn; all if there are fewer.
        kinds: ``white``, or kinds of the noise table.
        snr_db: Signal-to-noise ratios in dB.
    """

    seed: int
    recordings: int
    kinds: tuple[str, ...]
    snr_db: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """Config of `daisy.noise.evaluate`.

    Attributes:
        method: How every utterance gets its exit layer.
        strategies: q of every strategy (only ``threshold`` uses it); empty for a baseline.
        floor: The lowest layer that is a candidate where all are.
        floors: Floors to compare, on clean speech and under white noise; empty for a baseline.
        draws: Bootstrap draws.
        seed: Seed of the bootstrap.
        compute: Where.
    """

    method: Method
    strategies: dict[str, float]
    floor: int
    floors: tuple[int, ...]
    draws: int
    seed: int
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class NoiseTasks:
    """Config of `daisy.noise.tables` and `daisy.report.noise_figures`.

    Attributes:
        tasks: The tasks of the study.
    """

    tasks: tuple[str, ...]
