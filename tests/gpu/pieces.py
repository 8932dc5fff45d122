"""Speech from the golden recordings, and the stages on it, each started as the workflow starts it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from runners import Outcome, finished, stage

from daisy.branches.settings import BranchesSettings
from daisy.common import audio
from daisy.common.compute import Compute
from daisy.corpora.table import Recording, write_table
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.downstream.settings import DownstreamSettings
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.method import FULL, Method
from daisy.features.settings import CalibrationSettings, EntropiesSettings, StatesSettings
from daisy.features.view import view_of
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.noise.settings import NoisySettings, StudySettings
from daisy.targets.settings import DumpSettings, JoinSettings, KMeansSettings, LabelSettings

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests/golden"
CLOSE = 1e-4
"""How far two ways to the same state may be apart in float32, as a share of the largest value."""
MODEL = ROOT / "daisy/models/hubert_tiny.safetensors"
"""The embedded HuBERT: 12 layers, trained on real speech."""

TASKS = ("sid", "asr", "se", "ss")
WORDS = ("call home", "stop", "light on", "no")
OPTIONS: dict[str, dict[str, Any]] = {
    "sid": {"projection": 16, "normalise": "frames"},
    "asr": {
        "projection": 16,
        "hidden": 16,
        "layers": 2,
        "dropout": 0.2,
        "stride": 1,
        "end_marks": True,
        # Time is warped too: what a GPU has no deterministic gradient for.
        "specaugment": {
            "warp_frames": 5,
            "time_masks": 1,
            "time_frames": 10,
            "time_share": 0.3,
            "feature_masks": 1,
            "feature_dims": 12,
        },
    },
    "se": {"hidden": 16, "layers": 2, "dropout": 0.2},
    "ss": {"hidden": 16, "layers": 2, "dropout": 0.2},
}
DAISY = Method("daisy", 1.0)


def branched() -> Checkpoint:
    """The embedded model, with branches that are sure of some frames and not of others."""
    found = load(MODEL)
    shape = found.encoder.config
    found.branches = Branches(shape.layers, 50, shape.dim)
    found.branches.reset(torch.Generator().manual_seed(0))
    found.branches.requires_grad_(False)
    found.branches.weight.mul_(20 * torch.linspace(1, 3, shape.layers)[:, None, None])
    return found


def write_speech(folder: Path) -> None:
    """Manifests `sid`, `asr`, `se` and `ss` (.tsv): the golden recordings, parts of them, and mixtures of two."""
    waves = [audio.read(path).numpy() for path in sorted(GOLDEN.glob("*.wav"))]
    waves += [wave[: len(wave) * share // 10] for wave in waves for share in (6, 8)]
    rng = np.random.default_rng(0)
    plain, enhanced, separated = [], [], []

    def write(name: str, wave: np.ndarray) -> str:
        audio.write(folder / name, wave.astype(np.float32).clip(-1, 1))
        return name

    for number, wave in enumerate(waves):
        name = write(f"{number}.flac", wave)
        item = Utterance(f"u{number}", name, len(wave), f"speaker{number % 2}", WORDS[number % 4])
        plain.append(item)
        noisy = write(f"noisy{number}.flac", wave + 0.02 * rng.standard_normal(len(wave)))
        enhanced.append(dataclasses.replace(item, path=noisy, references=(name,)))
        second = write(f"second{number}.flac", np.resize(waves[number - 1], len(wave)))
        both = write(f"both{number}.flac", wave + np.resize(waves[number - 1], len(wave)))
        separated.append(dataclasses.replace(item, path=both, references=(name, second)))
    for task, items in {"sid": plain, "asr": plain, "se": enhanced, "ss": separated}.items():
        write_manifest(folder / f"{task}.tsv", folder, items)


def killed_once_saved(command: list[str], state: Path) -> None:
    """Start a training, and kill it as soon as it has saved a state."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=ROOT)
    while not (state / "state.pt").exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9, "the training ended before it could be killed"


@dataclasses.dataclass(frozen=True)
class Run:
    """Stages in a folder, with their results.

    Attributes:
        folder: Of the results.
        speech: Of the manifests.
        compute: Where targets, branches and downstream models are computed, and how precisely.
    """

    folder: Path
    speech: Path
    compute: Compute

    @property
    def exact(self) -> Compute:
        """Where features and evaluation are computed."""
        return dataclasses.replace(self.compute, precision="float32")

    def run(self, module: str, settings: Any, **options: object) -> Outcome:
        """Run a stage to its end."""
        return finished(stage(module, settings, **options), ROOT)

    def targets(self) -> None:
        """Frames, clusters, labels, and their dictionary."""
        shared = {"manifest": self.speech / "asr.tsv", "checkpoint": MODEL}
        self.run("targets.dump", DumpSettings(9, compute=self.compute), **shared, out=self.folder / "shards")
        frames = self.folder / "shards/asr_0_1.npy"
        self.run("targets.kmeans", KMeansSettings(16, 0, 9), shards=frames, out=self.folder / "kmeans.npz")
        settings = LabelSettings("kmeans", 9, compute=self.compute)
        part = self.folder / "part.km"
        self.run("targets.label", settings, **shared, centroids=self.folder / "kmeans.npz", out=part)
        written = {"out": self.folder / "train.km", "dictionary": self.folder / "dict.km.txt"}
        self.run("targets.join", JoinSettings(16), **shared, labels=part, **written)

    def branches(self, name: str = "", steps: int = 8, save_every: int = 4) -> list[str]:
        """The command that trains branches, into a folder below this one."""
        settings = BranchesSettings(
            position="after-norm",
            steps=steps,
            batch_seconds=10.0,
            learning_rate=0.01,
            seed=7,
            save_every=save_every,
            compute=self.compute,
        )
        out = self.folder / name
        return stage(
            "branches.train",
            settings,
            checkpoint=MODEL,
            manifest=self.speech / "asr.tsv",
            labels=self.folder / "train.km",
            dictionary=self.folder / "dict.km.txt",
            state=out / "state",
            out=out / "daisy.pt",
            history=out / "history.csv",
        )

    def features(self, task: str) -> None:
        """States and entropies of a task's recordings, and its threshold."""
        shared = {"manifest": self.speech / f"{task}.tsv"}
        view = view_of(task, OPTIONS[task], "after-norm")
        settings = StatesSettings(view, "float32", 10.0, self.exact)
        self.run("features.states", settings, **shared, checkpoint=MODEL, out=self.folder / task / "states.npy")
        entropies, upstream = self.folder / task / "entropies.npz", self.folder / "daisy.pt"
        self.run("features.entropies", EntropiesSettings(10.0, self.exact), **shared, upstream=upstream, out=entropies)
        calibration = CalibrationSettings(task, "midrange", 1.0)
        self.run("features.calibrate", calibration, entropies=entropies, out=self.folder / task / "tau.json")

    def downstream(
        self, task: str, method: Method, name: str, steps: int = 6, save_every: int = 3, given: Path | None = None
    ) -> list[str]:
        """The command that trains a task's model, into a folder below the task's; `given` has the features, or we."""
        settings = DownstreamSettings(
            task=task,
            options=OPTIONS[task],
            states="after-norm",
            steps=steps,
            batch_size=6,
            optimizer="adam",
            learning_rate=0.01,
            schedule="linear",
            clip=1.0,
            dev_every=steps,
            seed=5,
            save_every=save_every,
            compute=self.compute,
            method=method,
            fusion="dynamic",
        )
        place = (given or self.folder) / task
        files: dict[str, Path] = {}
        for part in ("train", "dev"):
            files[f"{part}_manifest"] = self.speech / f"{task}.tsv"
            files[f"{part}_states"] = place / "states.npy"
            if method.by_entropy:
                files[f"{part}_entropies"] = place / "entropies.npz"
        if method.by_entropy:
            files["calibration"] = place / "tau.json"
        out = self.folder / task / name
        results = {"out": out / "model.safetensors", "exits": out / "exits.json", "history": out / "history.csv"}
        return stage("downstream.train", settings, **files, state=out / "state", **results)

    def evaluation(self, task: str, method: Method) -> list[Mapping[str, Any]]:
        """The rows of a method's evaluation."""
        strategies = {"avg": 0.2, "min-max": 0.2} if method.by_entropy else {}
        settings = EvaluationSettings(method, strategies, 20, 3, 1, 0, 5, self.exact)
        place, out = self.folder / task, self.folder / task / method.name
        entropies = {"entropies": place / "entropies.npz"} if method.by_entropy else {}
        self.run(
            "evaluation.evaluate",
            settings,
            upstream=self.folder / "daisy.pt",
            manifest=self.speech / f"{task}.tsv",
            states=place / "states.npy",
            **entropies,
            dev_manifest=self.speech / f"{task}.tsv",
            dev_states=place / "states.npy",
            **{f"dev_{name}": path for name, path in entropies.items()},
            downstream=out / "model.safetensors",
            exits=out / "exits.json",
            topline=place / FULL.name / "model.safetensors",
            out=out / "evaluation.json",
        )
        rows: list[Mapping[str, Any]] = json.loads((out / "evaluation.json").read_text())["rows"]
        return rows

    def noise(self) -> Path:
        """The noise study of speech recognition under white noise; the folder of its tables."""
        place, out = self.folder / "asr", self.folder / "noise"
        table = self.folder / "recordings.csv"
        write_table(table, [Recording("none", audio.SAMPLE_RATE, "none")])  # white noise is drawn
        settings = NoisySettings(0, 3, ("white",), (10.0,))
        self.run("noise.noisy", settings, manifest=self.speech / "asr.tsv", noise=table, out=out)
        files = {"manifest": out / "noisy.tsv"}
        entropies, upstream = out / "entropies.npz", self.folder / "daisy.pt"
        self.run("features.entropies", EntropiesSettings(10.0, self.exact), **files, upstream=upstream, out=entropies)
        trained = place / DAISY.name
        self.run(
            "noise.evaluate",
            StudySettings(DAISY, {"avg": 0.2}, 1, (1, 6), 10, 0, self.exact),
            **files,
            conditions=out / "conditions.csv",
            entropies=entropies,
            exits=trained / "exits.json",
            checkpoint=MODEL,
            downstream=trained / "model.safetensors",
            out=out / "tables",
        )
        return out / "tables"


def same_files(one: Path, other: Path, names: Iterable[str]) -> list[str]:
    """The files of two folders that differ by a bit."""
    return [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]
