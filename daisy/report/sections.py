"""The report's tables: the grid, examples to listen to and branch accuracies, rounded for reading."""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daisy.common.files import read_csv, read_json
from daisy.errors import DaisyError
from daisy.evaluation.rows import ExitRow, GridRow, SeedRow
from daisy.exits.cell import GridCell
from daisy.exits.method import INPUT
from daisy.report import html
from daisy.report.grid import best_of, cells_of, input_of, metrics_of, rows_of, tasks_of
from daisy.report.ground import clock
from daisy.report.summary import UNSURE
from daisy.report.wording import cell_label, decimals, metric_label, short_label, speed_text, task_title

EXPLAINED = {
    "task-ee": "Task exits are early exit as other work has it: a linear head per layer, trained for this one task on "
    "its labels and judged by the entropy of its own predictions.",
    "student": "The student is a small model of its own, distilled from this one as DistilHuBERT is, with the speech "
    "that the branches were trained on; its exit layer is its last.",
    "oracle": "An oracle runs DAISY's model and leaves at the earliest layer whose result is as good as the full "
    "model's for that utterance, which it knows beforehand: no rule that keeps every utterance's result can leave "
    "earlier.",
}
"""What tables say of methods that are not the paper's."""

LAST_UPDATES = 20
"""Branch accuracy is a mean over so many of the last updates: that of one batch is noisy."""


def _metric_column(rows: Sequence[GridRow]) -> list[dict[str, Any]]:
    places = max(decimals(row.ci_high - row.ci_low) for row in rows)
    best = best_of(rows)
    return [
        html.number(
            f"{row.value:.{places}f} [{row.ci_low:.{places}f}, {row.ci_high:.{places}f}]",
            best=row.value == best and row.cell.method.kind != "oracle",
        )
        for row in rows
    ]


def _column(rows: Sequence[GridRow], name: str, write: Callable[[float], str], *, most: bool) -> list[dict[str, Any]]:
    values = {row.cell: getattr(row, name) for row in rows}
    best = (max if most else min)(value for cell, value in values.items() if cell.method.kind != "oracle")
    return [
        html.number(write(value), best=value == best and cell.method.kind != "oracle") for cell, value in values.items()
    ]


def exit_label(counts: Sequence[int]) -> str:
    """A histogram in words: the layers that occurred, with their counts."""
    return ", ".join(f"layer {layer}: {count}" for layer, count in enumerate(counts, start=1) if count)


def _exit_bars(row: GridRow, exits: Sequence[ExitRow]) -> dict[str, Any]:
    counts = [item.count for item in exits if (item.task, item.cell) == (row.task, row.cell)]
    return html.bars(counts, exit_label(counts))


def grid_table(grid: Sequence[GridRow], exits: Sequence[ExitRow], task: str) -> dict[str, Any]:
    """A task's cells, one per row, the best value of every column marked."""
    metrics = metrics_of(grid, task)
    rows = rows_of(grid, task)
    columns: list[list[Any]] = [[cell_label(row.cell) for row in rows]]
    columns += [_metric_column(rows_of(grid, task, metric)) for metric in metrics]
    trouble = clock(rows)
    doubt = f" {UNSURE}" if trouble else ""
    columns.append(_column(rows, "speedup_vs_full", lambda value: f"{value:.2f}×{doubt}", most=True))
    columns.append(_column(rows, "mean_exit_layer", lambda value: f"{value:.2f}", most=False))
    columns.append(_column(rows, "macs_per_second", lambda value: f"{value / 1e9:#.3g}", most=False))
    columns.append(_column(rows, "rtf", lambda value: f"{value:#.3g}", most=False))
    columns.append([_exit_bars(row, exits) for row in rows])
    header = [
        "Method",
        *(short_label(task, metric) for metric in metrics),
        "Speed-up",
        "Exit layer",
        "GMACs/s",
        "RTF",
        "Exits",
    ]
    return html.table(
        header,
        list(zip(*columns, strict=True)),
        f"{task_title(task)}, {rows[0].n_utterances} test utterances{_unprocessed(grid, task)}"
        + (f". {UNSURE} {trouble}" if trouble else ""),
        folded=True,
    )


def _unprocessed(grid: Sequence[GridRow], task: str) -> str:
    """What the input itself scores, in words."""
    inputs = [input_of(grid, task, metric) for metric in metrics_of(grid, task)]
    parts = [
        f"{metric_label(task, row.metric)} {row.value:.{decimals(row.ci_high - row.ci_low)}f}" for row in inputs if row
    ]
    return f"; the unprocessed input has {', '.join(parts)}" if parts else ""


def grid_section(grid: Sequence[GridRow], exits: Sequence[ExitRow]) -> dict[str, Any]:
    """The whole grid, a table per task."""
    kinds = {row.cell.method.kind for row in grid}
    text = (
        "Results with their 95% intervals; the best value of every column is marked. Speed-up is over the full model, "
        "measured side by side; GMACs/s are billions of operations per second of audio, RTF is processing time over "
        "audio time, and bars show how many utterances stopped at each layer, the first layer at the left."
    )
    return html.section(
        "All results",
        " ".join([text, *(words for kind, words in EXPLAINED.items() if kind in kinds)]),
        [grid_table(grid, exits, task) for task in tasks_of(grid)],
    )


def seed_section(seeds: Sequence[SeedRow]) -> dict[str, Any]:
    """Mean and spread over the seeds of training, where there is more than one."""
    cells: dict[tuple[str, str, GridCell], list[SeedRow]] = {}
    for row in seeds:
        if row.cell.method != INPUT:
            cells.setdefault((row.task, row.metric, row.cell), []).append(row)
    rows = [
        [
            task_title(same[0].task),
            metric_label(same[0].task, same[0].metric),
            cell_label(same[0].cell),
            html.number(f"{statistics.fmean(row.value for row in same):.3f}"),
            html.number(f"{statistics.stdev(row.value for row in same):.3f}"),
            html.number(f"{min(row.value for row in same):.3f} to {max(row.value for row in same):.3f}"),
        ]
        for same in cells.values()
        if len(same) > 1
    ]
    count = len({row.seed for row in seeds})
    header = ("Task", "Metric", "Method", "Mean", "SD", "Range")
    text = f"Every downstream model was trained with {count} seeds; all other results are means over them."
    return html.section("Spread over seeds", text, [html.table(header, rows)])


def side_by_side_section(grid: Sequence[GridRow]) -> dict[str, Any]:
    """The paper's Table 1: the methods side by side on all tasks, results in one table and speed in another."""
    tasks = tasks_of(grid)
    chosen = cells_of(grid)
    row_of = {(row.cell, row.task, row.metric): row for row in grid}
    results: list[list[Any]] = [[cell_label(cell) for cell in chosen]]
    header = ["Method"]
    for task in tasks:
        for metric in metrics_of(grid, task):
            rows = rows_of(grid, task, metric)
            places = max(decimals(row.ci_high - row.ci_low) for row in rows)
            best = best_of(rows)
            column = [row_of.get((cell, task, metric)) for cell in chosen]
            results.append([_result(row, places, best) for row in column])
            header.append(f"{task.upper()} {short_label(task, metric)}")
    priced = [cell for cell in chosen if cell.method != INPUT]
    costs: list[list[Any]] = [[cell_label(cell) for cell in priced]]
    for task in tasks:
        main = metrics_of(grid, task)[0]
        known = [row_of.get((cell, task, main)) for cell in priced]
        doubt = f" {UNSURE}" if clock(rows_of(grid, task)) else ""
        costs.append([_cost(row, doubt) if row else "–" for row in known])
    tables = [
        html.table(header, list(zip(*results, strict=True)), "Results on the test sets"),
        html.table(
            ["Method", *(task.upper() for task in tasks)],
            list(zip(*costs, strict=True)),
            "Speed-up over the full model, and mean exit layer",
        ),
    ]
    text = (
        "The best value of every column is marked. Intervals, operations and real-time factors stand below, and in "
        f"tables/table1.csv. {', '.join(f'{task.upper()}: {task_title(task).lower()}' for task in tasks)}."
    )
    if any(clock(rows_of(grid, task)) for task in tasks):
        text += f" {UNSURE}: the timing contradicts itself."
    return html.section("The methods side by side (the paper's Table 1)", text, tables)


def _result(row: GridRow | None, places: int, best: float) -> Any:
    if row is None:
        return "–"
    return html.number(
        f"{row.value:.{places}f}", best=row.value == best and row.cell.method.kind not in ("input", "oracle")
    )


def _cost(row: GridRow, doubt: str) -> Any:
    return html.number(f"{speed_text(row)}{doubt}, {row.mean_exit_layer:.1f}")


def example_section(paths: Sequence[Path]) -> dict[str, Any] | None:
    """Recordings to listen to: input, reference and what the systems made of it; None if there are none.

    Raises:
        DaisyError: if a table or a recording is missing or damaged.
    """
    tables = []
    for path in paths:
        value = read_json(path)
        try:
            names = list(value["examples"][0]["files"])
            rows = [
                [item["speaker"].replace("+", " and ")]
                + [_players(path, item["files"][name], item["exit_layers"].get(name)) for name in names]
                for item in value["examples"]
            ]
            tables.append(html.table(["Speaker", *names], rows, task_title(value["task"])))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise DaisyError(f"no table of examples ({error!r})", file=path, fix="Delete it and run again") from None
    text = (
        "Test recordings drawn by seed, not by how well they came out. Separated voices stand in the order of the "
        "references that they fit best."
    )
    return html.section("Examples to listen to", text, tables) if tables else None


def _players(table: Path, names: Sequence[str], layer: int | None) -> dict[str, Any]:
    sounds = []
    for name in names:
        file = table.parent / name
        try:
            sounds.append("data:audio/flac;base64," + base64.b64encode(file.read_bytes()).decode())
        except FileNotFoundError:
            raise DaisyError("the recording does not exist", file=file, fix="Make the examples again") from None
    return html.players(sounds, "" if layer is None else f"exit at layer {layer}")


def branch_section(history: Path) -> dict[str, Any]:
    """The branches' accuracy per layer at the end of their training.

    Raises:
        DaisyError: if the history is empty or damaged.
    """
    rows = read_csv(history, columns=("step", "loss", "accuracy_1"))
    last = rows[-LAST_UPDATES:]
    if not last:
        raise DaisyError("the history is empty", file=history, fix="Train the branches again")
    names = [name for name in last[0] if name.startswith("accuracy_")]
    try:
        means = [100 * math.fsum(float(row[name]) for row in last) / len(last) for name in names]
    except (TypeError, ValueError):
        raise DaisyError("an accuracy is no number", file=history, fix="Train the branches again") from None
    layers = [name.removeprefix("accuracy_") for name in names]
    text = (
        f"How often each layer's branch finds the target class of a frame: mean over the last {len(last)} of "
        f"{len(rows)} updates, on the training batches."
    )
    lines = [
        [f"Layer {layer}", html.number(f"{mean:.1f}", best=mean == max(means))]
        for layer, mean in zip(layers, means, strict=True)
    ]
    return html.section("Branch accuracy", text, [html.table(("Layer", "Accuracy (%)"), lines)])
