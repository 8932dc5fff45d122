"""How time and memory grow with data: the labelling and the branch-training stage, started as the pipeline does.

Table `growth`: a row per stage and amount of data. Columns:

- `stage`; `units`: the amount, as a multiple of the smallest; `minutes`: of audio.
- `seconds`: of the whole process, its start included, the median of the rounds.
- `per_unit`: seconds per unit, over the same at the smallest amount: 1 if cost is linear, less where the start counts.
  `lowest`, `highest`: of the rounds.
- `added`: seconds added since the amount before, per unit added, over the same of the first such step: 1 if cost is
  linear, whatever the start takes.
- `memory_mb`: the most memory the process held; `memory`: over the same at the smallest amount.

The model is the embedded one; recordings are synthetic, on the disk, and steps of training follow the amount of data.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.clock import spread
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.common import audio
from daisy.common.audio import SAMPLE_RATE
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.hubert.checkpoint import load

COLUMNS = ("stage", "units", "minutes", "seconds", "per_unit", "lowest", "highest", "added", "memory_mb", "memory")
ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "daisy/models/hubert_tiny.safetensors"
RECORDINGS = 40
"""In the smallest amount of data, each of 0.4 to 1.6 times the options' seconds."""

CLASSES = 100


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minutes = {units: write_data(folder, units, options) for units in options.units}
        used: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for turn in range(options.rounds("growth")):
            order = options.units[turn % len(options.units) :] + options.units[: turn % len(options.units)]
            for units in order:
                for stage, arguments in commands(folder, units, options).items():
                    used.setdefault((stage, units), []).append(process(arguments))
        for stage in ("labels", "branches"):
            rounds = {units: used[stage, units] for units in options.units}
            yield from (dict(found, minutes=minutes[found["units"]]) for found in rows(stage, rounds))


def write_data(folder: Path, units: int, options: Options) -> float:
    """Recordings with a manifest and centroids; minutes of audio."""
    rng = np.random.default_rng(options.seed)
    place = folder / str(units)
    place.mkdir()
    items = []
    for number in range(RECORDINGS * units):
        wave = rng.standard_normal(round(rng.uniform(0.4, 1.6) * options.seconds * SAMPLE_RATE)) * 0.1
        audio.write(place / f"{number}.flac", wave.astype(np.float32).clip(-1, 1))
        items.append(Utterance(f"{number}", f"{number}.flac", len(wave)))
    write_manifest(place / "train.tsv", place, items)
    centroids = rng.standard_normal((CLASSES, load(CHECKPOINT).encoder.config.dim)).astype(np.float32)
    np.savez(place / "centroids.npz", centroids=centroids)
    (place / "dict.km.txt").write_text("".join(f"{number} 1\n" for number in range(CLASSES)))
    return sum(item.samples for item in items) / SAMPLE_RATE / 60


def commands(folder: Path, units: int, options: Options) -> dict[str, list[str]]:
    """The two stages on an amount of data, labels first."""
    place = folder / str(units)
    # So little that the smallest amount of data fills its batches too: recordings of unequal length share none.
    batch_seconds = 2 * options.seconds
    labelling = {"kind": "kmeans", "layer": 9, "batch_seconds": batch_seconds}
    training = {
        "position": "after-norm",
        "steps": 6 * units,
        "batch_seconds": batch_seconds,
        "learning_rate": 0.01,
        "seed": options.seed,
        "save_every": 10**6,
    }
    common = ["--checkpoint", CHECKPOINT, "--manifest", place / "train.tsv", "--threads", options.threads]
    labels = ["--centroids", place / "centroids.npz", "--out", place / "train.km", "--settings", json.dumps(labelling)]
    state = tempfile.mkdtemp(dir=place)
    branches = ["--labels", place / "train.km", "--dictionary", place / "dict.km.txt", "--state", Path(state) / "state"]
    branches += ["--out", place / "daisy.pt", "--history", place / "history.csv", "--settings", json.dumps(training)]
    return {
        stage: [sys.executable, "-m", module, *map(str, common), *map(str, more)]
        for stage, module, more in (
            ("labels", "daisy.targets.label", labels),
            ("branches", "daisy.branches.train", branches),
        )
    }


ALONE = """
import os, sys, time
begin = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print("measured", status, time.perf_counter() - begin, usage.ru_maxrss / 1024)
"""
"""Starts a process from a small one: Linux counts the memory of whoever starts a process among that process's own."""


def process(arguments: Sequence[str]) -> tuple[float, float]:
    """Run a process: its seconds, and the most memory that it held, in MB.

    Raises:
        RuntimeError: if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-S", "-c", ALONE, *arguments]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    _, status, seconds, megabytes = outcome.stdout.splitlines()[-1].split()
    if int(status):
        raise RuntimeError(outcome.stderr[-2000:])
    return float(seconds), float(megabytes)


def rows(stage: str, rounds: dict[int, list[tuple[float, float]]]) -> Iterator[Row]:
    """The rows of a stage, from seconds and memory of every round, by amount."""
    amounts = sorted(rounds)
    smallest = amounts[0]
    seconds = {units: statistics.median(time for time, _ in rounds[units]) for units in amounts}
    memory = {units: max(held for _, held in rounds[units]) for units in amounts}
    steps = [(seconds[new] - seconds[old]) / (new - old) for old, new in zip(amounts, amounts[1:], strict=False)]
    added = [None, *(step / steps[0] for step in steps)]
    for units, since in zip(amounts, added, strict=True):
        pairs = zip(rounds[units], rounds[smallest], strict=True)
        ratios = spread([(one / units) / (other / smallest) for (one, _), (other, _) in pairs])
        yield {
            "stage": stage,
            "units": units,
            "seconds": seconds[units],
            "per_unit": ratios.median,
            "lowest": ratios.lowest,
            "highest": ratios.highest,
            "added": since,
            "memory_mb": memory[units],
            "memory": memory[units] / memory[smallest],
        }
