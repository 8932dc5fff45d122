"""Evaluate one trained method of a task on its test set: a cell per strategy (and scale), or one baseline.

What is predicted comes from the shared forward pass of the feature stage. Speed comes from real runs at
batch 1, interleaved with the full model, on a seeded sample of the test set; those runs must stop at the
same layers and score the same, or the stage fails. Of DAISY's models an oracle makes a further cell.
What its cells make of the dev set is kept beside: whoever picks one of them picks it there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daisy.common import spent, stage
from daisy.common.audio import SAMPLE_RATE
from daisy.common.files import read_json, write_json
from daisy.common.seeds import generator
from daisy.common.speed import interleaved
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.cells import Cell, build_cells, by_scale
from daisy.downstream.model import TaskModel, load_downstream
from daisy.downstream.scoring import Judged, unprocessed
from daisy.downstream.split import Split, load_split
from daisy.downstream.system import macs, predict
from daisy.downstream.task_exits import TaskExits, entropies, load_task_exits
from daisy.evaluation.oracle import kept_scores, oracle, read_scores
from daisy.evaluation.outcomes import Outcome, check_equal, run_cells, with_intervals
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.candidates import falls_back
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, INPUT, TASK_EXITS, Method
from daisy.exits.rule import ExitRule, histogram
from daisy.features.measured import load_measured
from daisy.features.streamed import open_features
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.tasks.base import Task


def sample(manifest: Manifest, count: int, seed: int) -> list[int]:
    """Indices of the recordings to time, the same for every method."""
    drawn = generator(seed, "timing").permutation(len(manifest))[:count]
    return sorted(drawn.tolist())


def measured_by(model: TaskModel, split: Split, path: Path | None) -> np.ndarray:
    """(N, K) the entropies by which a method stops: the branches', or its own heads'; K is 0 for a fixed exit."""
    if isinstance(model, TaskExits):
        return entropies(model, split).numpy()
    return load_measured(path, len(split.examples)).entropies if path else np.empty((len(split.examples), 0))


def outcomes_of(
    model: TaskModel,
    split: Split,
    measured: np.ndarray,
    trained: Mapping[str, Any],
    settings: EvaluationSettings,
    topline: Path | None,
    processes: int,
) -> dict[GridCell, Outcome]:
    """Every cell of the method, and the oracle's if the full model's evaluation is given."""
    judge = model if isinstance(model, TaskExits) else None
    cells = build_cells(model, settings.method, settings.strategies, trained, judge)
    judged: Judged = {}
    outcomes = run_cells(cells, split, measured, settings, judged, processes)
    if topline:
        full = read_scores(topline, model.task.metrics[0], len(split.examples))
        cell = next(iter(cells.values()))
        key = GridCell(Method("oracle", settings.method.rho))
        outcomes[key] = oracle(cell, split, full, judged, settings, processes)
    return outcomes


def timed(
    upstream: EarlyExitHubert,
    outcomes: Mapping[GridCell, Outcome],
    whole: EarlyExitHubert,
    topline: TaskModel,
    waves: Mapping[int, Tensor],
    rounds: int,
) -> tuple[dict[GridCell, float], float]:
    """Seconds that every cell takes for some recordings, and the full model, `topline` on `whole`, beside them."""
    full = Cell(topline, ExitRule((whole.layers,)))

    def run(outcome: Outcome, index: int) -> object:
        return predict(upstream, outcome.at(index), waves[index])

    systems: dict[GridCell | None, Any] = {key: functools.partial(run, item) for key, item in outcomes.items()}
    systems[None] = lambda index: predict(whole, full, waves[index])
    seconds = interleaved(systems, list(waves), rounds)
    beside = seconds.pop(None)
    return {key: value for key, value in seconds.items() if key is not None}, beside


def costed(
    task: str, outcomes: Mapping[GridCell, Outcome], manifest: Manifest, upstream: EarlyExitHubert
) -> Iterator[tuple[GridCell, dict[str, Any]]]:
    """A row per cell and metric: what it makes of the recordings, and what that costs in operations."""
    for key, outcome in outcomes.items():
        exits = outcome.split.exits.tolist()
        work = sum(macs(upstream, outcome.at(i), manifest.utterances[i].samples, k) for i, k in enumerate(exits))
        for metric in outcome.cell.model.task.metrics:
            value, low, high = outcome.values[metric.name]
            yield (
                key,
                {
                    "task": task,
                    **named(key),
                    "metric": metric.name,
                    "value": value,
                    "ci_low": low,
                    "ci_high": high,
                    "higher_is_better": metric.higher_is_better,
                    "n_utterances": len(exits),
                    "mean_exit_layer": sum(exits) / len(exits),
                    "macs_per_second": work / manifest.seconds,
                },
            )


def timed_rows(
    rows: Iterable[tuple[GridCell, dict[str, Any]]],
    outcomes: Mapping[GridCell, Outcome],
    seconds: Mapping[GridCell, float],
    full_seconds: float,
    timed_seconds: float,
) -> list[dict[str, Any]]:
    """The method's rows of the grid: with the time that its cells take, and the layers where they may stop."""
    return [
        {
            **row,
            "rtf": seconds[key] / timed_seconds,
            "speedup_vs_full": full_seconds / seconds[key],
            "candidates": list(outcomes[key].cell.rule.candidates),
            "tau": outcomes[key].cell.rule.tau if key.method.adaptive else None,
        }
        for key, row in rows
    ]


def named(key: GridCell) -> dict[str, Any]:
    """A cell in the columns of a table."""
    return {"method": key.method.row, "rho": key.method.rho, "strategy": key.strategy}


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


def finish(
    grid: Sequence[dict[str, Any]], exits: Mapping[Method, Mapping[str, Any]], settings: EvaluationSettings
) -> None:
    """Note in every row whether its candidates are a fallback, and tell of it."""
    for row in grid:
        strategy = row["strategy"]
        counts = exits[Method.parse(row["method"], row["rho"])]["counts"] if strategy else []
        row["fallback"] = bool(strategy) and falls_back(strategy, counts, settings.strategies[strategy])
        print(
            f"{row['task']} {row['method']} {row['rho'] or ''} {strategy or ''}: {row['metric']} "
            f"{row['value']:.2f}, mean exit {row['mean_exit_layer']:.2f}, {row['speedup_vs_full']:.2f}x"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument(
        "--upstream", type=Path, required=True, help="what runs: DAISY checkpoint, or for a fixed exit HuBERT"
    )
    parser.add_argument("--manifest", type=Path, required=True, help="the test set")
    parser.add_argument("--states", type=Path, help="its states; made by the model where none are kept")
    parser.add_argument("--entropies", type=Path, help="its entropies (not needed for a fixed exit)")
    parser.add_argument("--dev-manifest", type=Path, required=True, help="recordings by which a cell is picked")
    parser.add_argument("--dev-states", type=Path, help="their states, where they are kept")
    parser.add_argument("--dev-entropies", type=Path, help="their entropies (not needed for a fixed exit)")
    parser.add_argument("--downstream", type=Path, required=True, help="the downstream model to evaluate")
    parser.add_argument("--exits", type=Path, required=True, help="its training exit histogram")
    parser.add_argument("--topline", type=Path, required=True, help="the downstream model of the full upstream")
    parser.add_argument("--topline-upstream", type=Path, help="the full upstream, where the method runs another model")
    parser.add_argument("--topline-evaluation", type=Path, help="the full model's evaluation, for an oracle")
    parser.add_argument("--out", type=Path, required=True, help="output: rows of the grid, exits per layer")
    parser.add_argument("--processes", type=int, default=1, help="how many score the test set (default: 1)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(EvaluationSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    device, processes = settings.compute.place(), arguments.processes
    checkpoint = load(arguments.upstream).to(device)
    manifest, dev_manifest = read_manifest(arguments.manifest), read_manifest(arguments.dev_manifest)
    upstream = EarlyExitHubert(checkpoint, settings.signal)
    beside = arguments.topline_upstream
    whole = EarlyExitHubert(load(beside).to(device)) if beside else upstream
    load_trained = load_task_exits if settings.method == TASK_EXITS else load_downstream
    model, topline = load_trained(arguments.downstream).to(device), load_downstream(arguments.topline).to(device)
    model.task.check_hop(checkpoint.encoder.config.hop)
    trained = read_json(arguments.exits)

    def prepared(recordings: Manifest, states: Path | None) -> Split:
        features = open_features(states, recordings, checkpoint.encoder, model.view)
        return load_split(model.task, recordings, features, np.full(len(recordings), model.layers))

    split, dev = prepared(manifest, arguments.states), prepared(dev_manifest, arguments.dev_states)
    frames = float(split.features.frames.sum())
    with spent.part("test frames", frames):
        measured = measured_by(model, split, arguments.entropies)
        outcomes = outcomes_of(model, split, measured, trained, settings, arguments.topline_evaluation, processes)
    with spent.part("dev frames", float(dev.features.frames.sum())):
        dev_measured = measured_by(model, dev, arguments.dev_entropies)
        on_dev = outcomes_of(model, dev, dev_measured, trained, settings, None, processes)
    indices = sample(manifest, settings.timed, settings.seed)
    waves = {index: manifest.wave(index) for index in indices}
    audio = sum(map(len, waves.values())) / SAMPLE_RATE
    with spent.part("s of audio, checked", audio):
        for outcome in outcomes.values():
            check_equal(upstream, outcome, manifest, indices)
    with spent.part("s of audio, timed", audio * (settings.rounds + 1)):
        seconds, full_seconds = timed(upstream, outcomes, whole, topline, waves, settings.rounds)
    costs = costed(model.task.name, outcomes, manifest, upstream)
    grid = timed_rows(costs, outcomes, seconds, full_seconds, audio)
    finish(grid, by_scale(settings.method, trained), settings)
    exits = [
        {**named(key), "counts": histogram(outcome.split.exits, upstream.layers)} for key, outcome in outcomes.items()
    ]
    result: dict[str, Any] = {
        "task": model.task.name,
        "method": settings.method.row,
        "rho": settings.method.rho,
        "exits": exits,
    }
    if settings.method == FULL:
        with spent.part("test frames, as they are", frames):
            grid += input_rows(model.task, split, settings, processes)
        result |= kept_scores(model.task, outcomes[GridCell(FULL)].scores)
    on_dev_rows = [row for _, row in costed(model.task.name, on_dev, dev_manifest, upstream)]
    for name, items in (("rows", grid), ("dev", on_dev_rows)):
        result[name] = [{**row, "seed": settings.training_seed} for row in items]
    write_json(arguments.out, result)


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    stage.run(main)
