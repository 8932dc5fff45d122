"""Evaluate one trained method of a task on its test set: one cell per strategy, or one baseline.

What is predicted comes from the shared forward pass of the feature stage. Speed comes from real runs at
batch 1, interleaved with the full model, on a seeded sample of the test set; those runs must stop at the
same layers and score the same, or the stage fails.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE
from daisy.common.files import read_json, write_json
from daisy.common.seeds import generator
from daisy.common.speed import interleaved
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.cells import Cell, build_cells
from daisy.downstream.model import load_downstream
from daisy.downstream.scoring import Judged, judge, scores, unprocessed
from daisy.downstream.split import Split, load_split
from daisy.downstream.system import macs, predict
from daisy.errors import DaisyError
from daisy.evaluation.bootstrap import interval
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.candidates import falls_back
from daisy.exits.method import FULL, INPUT
from daisy.exits.rule import ExitRule, histogram
from daisy.features.measured import load_measured
from daisy.features.streamed import open_features
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.tasks.base import Score, Task, set_metric


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A cell run over the whole test set from shared features."""

    cell: Cell
    split: Split
    scores: list[Score]
    values: dict[str, tuple[float, float, float]]


def run_cells(
    cells: Sequence[Cell], split: Split, entropies: np.ndarray, settings: EvaluationSettings, processes: int = 1
) -> list[Outcome]:
    """Predict and score the test set with the exits of each cell of one model, all of them at once.

    Args:
        cells: All of one model.
        split: The test set; its own exits are not used.
        entropies: (utterances, K) E_k in nats; of a fixed exit, K may be 0.
        settings: Config of the stage.
        processes: How many share the work.
    """
    judged: Judged = {}
    splits = [dataclasses.replace(split, exits=cell.rule.layers(entropies)) for cell in cells]
    pairs = [pair for chosen in splits for pair in enumerate(chosen.exits.tolist())]
    judge(cells[0].model, split, pairs, judged, processes)
    outcomes = []
    for cell, chosen in zip(cells, splits, strict=True):
        scored = scores(cell.model, chosen, judged=judged)
        outcomes.append(Outcome(cell, chosen, scored, with_intervals(cell.model.task, scored, settings)))
    return outcomes


def with_intervals(
    task: Task, scored: Sequence[Score], settings: EvaluationSettings
) -> dict[str, tuple[float, float, float]]:
    """Every metric of a set of utterances, with the ends of its confidence interval."""
    values = {}
    for metric in task.metrics:
        low, high = interval(scored, metric, draws=settings.draws, seed=settings.seed)
        values[metric.name] = (set_metric(scored, metric), low, high)
    return values


def sample(manifest: Manifest, count: int, seed: int) -> list[int]:
    """Indices of the recordings to time, the same for every method."""
    drawn = generator(seed, "timing").permutation(len(manifest))[:count]
    return sorted(drawn.tolist())


def check_equal(upstream: EarlyExitHubert, outcome: Outcome, manifest: Manifest, indices: Sequence[int]) -> None:
    """Make sure that real runs stop and score as the shared features said.

    One recording in fifty may differ (at least one): an entropy within rounding of the threshold can
    fall on either side of it.

    Raises:
        DaisyError: if more recordings differ.
    """
    different = []
    task = outcome.cell.model.task
    for index in indices:
        prediction, layer = predict(upstream, outcome.cell, manifest.wave(index))
        real, shared = task.score(prediction, outcome.split.examples[index]), outcome.scores[index]
        same = all(math.isclose(real[name][0], shared[name][0], rel_tol=1e-3, abs_tol=1e-3) for name in real)
        if layer != int(outcome.split.exits[index]) or not same:
            different.append(manifest.utterances[index].id)
    if len(different) > max(1, len(indices) // 50):
        raise DaisyError(
            f"{len(different)} of {len(indices)} recordings stop elsewhere or score otherwise in a run of the model "
            f"than by the shared features, {different[0]} for one",
            fix="Make the features again with this model and version; if it persists, report it as a fault",
        )


def rows(
    settings: EvaluationSettings,
    task: str,
    outcomes: Mapping[str | None, Outcome],
    manifest: Manifest,
    upstream: EarlyExitHubert,
    seconds: Mapping[str, float],
    timed_seconds: float,
) -> list[dict[str, Any]]:
    """The method's rows of the grid: one per strategy and metric."""
    result = []
    for strategy, outcome in outcomes.items():
        exits = outcome.split.exits.tolist()
        work = sum(macs(upstream, outcome.cell, manifest.utterances[i].samples, k) for i, k in enumerate(exits))
        taken = seconds[str(strategy)]
        for metric in outcome.cell.model.task.metrics:
            value, low, high = outcome.values[metric.name]
            result.append(
                {
                    "task": task,
                    "method": settings.method.row,
                    "rho": settings.method.rho,
                    "strategy": strategy,
                    "metric": metric.name,
                    "value": value,
                    "ci_low": low,
                    "ci_high": high,
                    "higher_is_better": metric.higher_is_better,
                    "n_utterances": len(exits),
                    "mean_exit_layer": sum(exits) / len(exits),
                    "macs_per_second": work / manifest.seconds,
                    "rtf": taken / timed_seconds,
                    "speedup_vs_full": seconds["full"] / taken,
                    "candidates": list(outcome.cell.rule.candidates),
                    "tau": outcome.cell.rule.tau if settings.method.by_entropy else None,
                }
            )
    return result


def input_rows(task: Task, split: Split, settings: EvaluationSettings, processes: int) -> list[dict[str, Any]]:
    """Rows for the recordings as they are, if the task can score them: method ``input``, at no cost at all."""
    scored = unprocessed(task, split, processes)
    if not scored:
        return []
    for metric in task.metrics:
        left_out = sum(score[metric.name][1] == 0 for score in scored)
        if left_out:
            print(f"{task.name} {metric.name}: {left_out} of {len(scored)} recordings have too little speech to count")
    nothing = dict.fromkeys(("mean_exit_layer", "macs_per_second", "rtf", "speedup_vs_full"), 0.0)
    return [
        {
            "task": task.name,
            "method": INPUT.row,
            "rho": None,
            "strategy": None,
            "metric": metric.name,
            "value": value,
            "ci_low": low,
            "ci_high": high,
            "higher_is_better": metric.higher_is_better,
            "n_utterances": len(scored),
            **nothing,
        }
        for metric, (value, low, high) in zip(
            task.metrics, with_intervals(task, scored, settings).values(), strict=True
        )
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint; HuBERT does for a fixed exit")
    parser.add_argument("--manifest", type=Path, required=True, help="the test set")
    parser.add_argument("--states", type=Path, help="its states; made by the model where none are kept")
    parser.add_argument("--entropies", type=Path, help="its entropies (not needed for a fixed exit)")
    parser.add_argument("--downstream", type=Path, required=True, help="the downstream model to evaluate")
    parser.add_argument("--exits", type=Path, required=True, help="its training exit histogram")
    parser.add_argument("--topline", type=Path, required=True, help="the downstream model of the full upstream")
    parser.add_argument("--out", type=Path, required=True, help="output: rows of the grid, exits per layer")
    parser.add_argument("--processes", type=int, default=1, help="how many score the test set (default: 1)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(EvaluationSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    device = settings.compute.place()
    checkpoint, manifest = load(arguments.upstream).to(device), read_manifest(arguments.manifest)
    upstream = EarlyExitHubert(checkpoint)
    model, topline = (load_downstream(path).to(device) for path in (arguments.downstream, arguments.topline))
    trained = read_json(arguments.exits)
    features = open_features(arguments.states, manifest, checkpoint.encoder, model.view)
    split = load_split(model.task, manifest, features, np.full(len(manifest), model.layers))
    systems = build_cells(model, settings.method, settings.strategies, trained)
    fixed = np.empty((len(manifest), 0))
    entropies = load_measured(arguments.entropies, len(manifest)).entropies if arguments.entropies else fixed
    ran = run_cells(list(systems.values()), split, entropies, settings, arguments.processes)
    outcomes = dict(zip(systems, ran, strict=True))
    indices = sample(manifest, settings.timed, settings.seed)
    for outcome in outcomes.values():
        check_equal(upstream, outcome, manifest, indices)
    timed = {str(key): outcome.cell for key, outcome in outcomes.items()}
    timed["full"] = Cell(topline, ExitRule((upstream.layers,)))
    waves = [manifest.wave(index) for index in indices]
    timing = {name: functools.partial(predict, upstream, cell) for name, cell in timed.items()}
    seconds = interleaved(timing, waves, settings.rounds)
    audio = sum(len(wave) for wave in waves) / SAMPLE_RATE
    grid = rows(settings, model.task.name, outcomes, manifest, upstream, seconds, audio)
    for row in grid:
        q = settings.strategies.get(row["strategy"], 0.0) if row["strategy"] else 0.0
        row["fallback"] = row["strategy"] is not None and falls_back(row["strategy"], trained["counts"], q)
        print(
            f"{row['task']} {row['method']} {row['rho'] or ''} {row['strategy'] or ''}: {row['metric']} "
            f"{row['value']:.2f}, mean exit {row['mean_exit_layer']:.2f}, {row['speedup_vs_full']:.2f}x"
        )
    if settings.method == FULL:
        grid += input_rows(model.task, split, settings, arguments.processes)
    grid = [{**row, "seed": settings.training_seed} for row in grid]
    exits = [
        {"strategy": key, "counts": histogram(outcome.split.exits, upstream.layers)}
        for key, outcome in outcomes.items()
    ]
    named = {"task": model.task.name, "method": settings.method.row, "rho": settings.method.rho}
    write_json(arguments.out, {**named, "rows": grid, "exits": exits})


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    stage.run(main)
