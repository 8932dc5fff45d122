"""Other runs beside this one: what the same cells of the grid gave there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daisy.common.columns import read_table
from daisy.evaluation.rows import EntropyRow, GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import INPUT
from daisy.report import html
from daisy.report.grid import metrics_of, tasks_of
from daisy.report.wording import cell_label, decimals, short_label, task_title

FILES = ("grid", "entropy")
"""The tables that are read of another run."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What is compared of a run.

    Attributes:
        name: Its name.
        grid: Its grid.
        entropy: Its mean entropies.
    """

    name: str
    grid: list[GridRow]
    entropy: list[EntropyRow]


def read_run(tables: Path) -> Run:
    """A run by its folder of tables.

    Raises:
        DaisyError: if a table is missing or damaged.
    """
    grid, entropy = (tables / f"{name}.csv" for name in FILES)
    return Run(tables.parent.name, read_table(GridRow, grid), read_table(EntropyRow, entropy))


def _cell(row: GridRow | None) -> Any:
    if row is None:
        return html.number("")
    places = decimals(row.ci_high - row.ci_low)
    return html.number(f"{row.value:.{places}f} at {row.speedup_vs_full:.2f}×, layer {row.mean_exit_layer:.1f}")


def _task(runs: Sequence[Run], task: str) -> dict[str, Any]:
    """A task's cells, one per row, a column per run and metric."""
    rows = {(run.name, row.cell, row.metric): row for run in runs for row in run.grid if row.task == task}
    cells: dict[GridCell, None] = dict.fromkeys(
        sorted((cell for _, cell, _ in rows if cell.method != INPUT), key=lambda cell: cell.key)
    )
    metrics = metrics_of(runs[0].grid, task)
    header = ["Method", *(f"{short_label(task, metric)}, {run.name}" for metric in metrics for run in runs)]
    lines = [
        [cell_label(cell), *(_cell(rows.get((run.name, cell, metric))) for metric in metrics for run in runs)]
        for cell in cells
    ]
    return html.table(header, lines, task_title(task))


def _entropies(runs: Sequence[Run]) -> dict[str, Any]:
    """The largest and the smallest mean entropy of every task."""
    lines = []
    for task in dict.fromkeys(row.task for run in runs for row in run.entropy):
        every = [[row.mean_entropy for row in run.entropy if row.task == task] for run in runs]
        spans = [f"{max(means):.2f} to {min(means):.2f}" if means else "" for means in every]
        lines.append([task_title(task), *map(html.number, spans)])
    return html.table(["Task", *(run.name for run in runs)], lines, "Mean entropies of the layers, in nats")


def beside_section(own: Run, others: Sequence[Run]) -> dict[str, Any]:
    """This run and others, cell by cell."""
    runs = [own, *others]
    names = ", ".join(run.name for run in others)
    return html.section(
        f"Beside {names}",
        "The metric of every cell, with its speed-up and mean exit layer, in this run and in others that used the same "
        "recordings. A cell that a run has not is empty.",
        [_entropies(runs), *(_task(runs, task) for task in tasks_of(own.grid))],
    )
