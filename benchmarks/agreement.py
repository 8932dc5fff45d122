"""What bfloat16 and int8 change: exits, entropies and the tasks' metrics, on a finished run's real test recordings.

Table `agreement`: a row per task, strategy and system. Columns:

- `task`, `rho`, `strategy`: the calibrated exit rule; `recordings`: of the test set, drawn with the seed.
- `system`: `float32`, `bfloat16` (autocast), or `int8` (ONNX Runtime, the weights of linear layers in 8 bits).
- `exits_equal`: the share of recordings that stop where they do in float32.
- `entropy_mean`, `entropy_max`: the relative difference of entropies from those in float32, over recordings and layers
  but the last, whose branch is never asked.
- `metric`, `value`, `low`, `high`: the task's metric with the run's downstream model, and its 95% bootstrap interval.
- `inside`: whether `value` lies in the interval that float32 has.

Tasks whose predictions are signals (SE, SS) are left out: scoring them takes longer than all of this.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.forward import ONNX
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.common.compute import Precision
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.model import Downstream, load_downstream
from daisy.downstream.scoring import scores
from daisy.downstream.split import Split
from daisy.evaluation.bootstrap import interval
from daisy.evaluation.evaluate import sample
from daisy.exits.candidates import STRATEGIES
from daisy.exits.method import Method
from daisy.exits.request import cell
from daisy.exits.rule import ExitRule
from daisy.features.kept import Features
from daisy.features.seen import seen
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.every_layer import every_layer
from daisy.tasks.base import set_metric
from daisy.tasks.registry import TASKS

COLUMNS: tuple[str, ...] = (
    "task",
    "rho",
    "strategy",
    "system",
    "recordings",
    "exits_equal",
    "entropy_mean",
    "entropy_max",
)
COLUMNS += ("metric", "value", "low", "high", "inside")
Forward = Callable[[Tensor], tuple[Tensor, list[float]]]
"""A recording (N,) to its states (K + 1, T, D) and its entropies."""


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    if options.run is None:
        print("NOT MEASURED: agreement needs a finished run; make demo makes one, or name it with --run", flush=True)
        return
    model = load(options.run / "model/daisy.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        systems = systems_of(model, options, Path(folder))
        for task in model.calibrations:
            if not TASKS[task].waves:
                yield from one_task(task, model, systems, options.run, options)


def systems_of(model: Checkpoint, options: Options, folder: Path) -> dict[str, Forward]:
    """The passes that are compared; float32 first."""

    def ours(precision: Precision) -> Forward:
        compute = options.compute(precision)

        def run(wave: Tensor) -> tuple[Tensor, list[float]]:
            with compute.autocast():
                (item,) = every_layer(model.encoder, [wave], model.position, model.branches, model.position)
            return item.states.float(), item.entropies

        return run

    systems: dict[str, Forward] = {precision: ours(precision) for precision in options.precisions}
    if len(peers.present(ONNX)) == len(ONNX):
        from daisy.library.onnx_export import export
        from daisy.library.onnx_runtime import OnnxDaisy

        export(model, folder / "int8", int8=True)
        runner = OnnxDaisy(folder / "int8", options.threads)

        def quantised(wave: Tensor) -> tuple[Tensor, list[float]]:
            found = runner(wave.numpy(), threshold=-1.0)
            return torch.from_numpy(found.features), found.entropies

        systems["int8"] = quantised
    return systems


def one_task(task: str, model: Checkpoint, systems: dict[str, Forward], run: Path, options: Options) -> Iterator[Row]:
    """The rows of a task, at its largest scale of the threshold."""
    calibration = model.calibrations[task]
    rho = max(calibration.counts)
    found = sorted(run.glob(f"downstream/{task}/seed*/{Method('daisy', rho).name}/model.safetensors"))
    if not found:
        print(f"NOT MEASURED: agreement of {task}, whose downstream model is not in {run}", flush=True)
        return
    downstream, manifest = load_downstream(found[0]), read_manifest(run / f"manifests/{task}/test.tsv")
    chosen = sample(manifest, options.recordings, options.seed)
    manifest = dataclasses.replace(manifest, utterances=tuple(manifest.utterances[index] for index in chosen))
    features = {name: features_of(forward, manifest, downstream) for name, forward in systems.items()}
    rules = {strategy: ExitRule(*cell({task: calibration}, task, rho, strategy)) for strategy in STRATEGIES}
    for name in systems:
        for strategy, rule in rules.items():
            values = compared(features, name, rule, downstream, manifest, options)
            yield {"task": task, "rho": rho, "strategy": strategy, "system": name, **values}


@dataclasses.dataclass(frozen=True)
class Found:
    """What one system gives for all recordings: their states, and (recordings, K) entropies."""

    features: Features
    entropies: np.ndarray


def features_of(forward: Forward, manifest: Manifest, downstream: Downstream) -> Found:
    """States and entropies of all recordings by one system, in memory."""
    states, entropies = [], []
    for index in range(len(manifest)):
        every, values = forward(manifest.wave(index))
        states.append(seen(downstream.view, every).numpy())
        entropies.append([*values[:-1], 0.0])
    features = Features(np.concatenate(states), np.array([len(item) for item in states]))
    return Found(features, np.array(entropies))


def compared(
    features: dict[str, Found],
    name: str,
    rule: ExitRule,
    downstream: Downstream,
    manifest: Manifest,
    options: Options,
) -> Row:
    """A system against float32."""
    own, other = features["float32"], features[name]
    exact, found = (rule.layers(item.entropies) for item in (own, other))
    reference, measured = own.entropies[:, :-1], other.entropies[:, :-1]
    difference = np.abs(measured - reference) / np.maximum(reference, 1e-9)
    exact_value = judged(downstream, own.features, exact, manifest, options)
    value, low, high = judged(downstream, other.features, found, manifest, options)
    return {
        "recordings": len(manifest),
        "exits_equal": float(np.mean(exact == found)),
        "entropy_mean": float(difference.mean()),
        "entropy_max": float(difference.max()),
        "metric": downstream.task.metrics[0].name,
        "value": value,
        "low": low,
        "high": high,
        "inside": exact_value[1] <= value <= exact_value[2],
    }


def judged(
    downstream: Downstream, features: Features, exits: np.ndarray, manifest: Manifest, options: Options
) -> tuple[float, float, float]:
    """The task's first metric on its features, and the ends of its interval."""
    task, metric = downstream.task, downstream.task.metrics[0]
    found = scores(downstream, Split(features, exits, task.examples(manifest)))
    low, high = interval(found, metric, draws=1000, seed=options.seed)
    return set_metric(found, metric), low, high
