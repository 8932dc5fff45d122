"""The questions that claims, figures and the report ask of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from daisy.evaluation.rows import DevRow, GridRow, ThresholdRow
from daisy.exits.cell import GridCell
from daisy.exits.method import DAISY, INPUT, Method
from daisy.exits.signals import ENTROPY

Row = TypeVar("Row", bound=DevRow)


def tasks_of(grid: Sequence[GridRow]) -> list[str]:
    """The tasks of the grid, in its order."""
    return list(dict.fromkeys(row.task for row in grid))


def cells_of(grid: Sequence[GridRow]) -> list[GridCell]:
    """The cells of all tasks, each once, in their order."""
    return sorted({row.cell for row in grid}, key=lambda cell: cell.key)


def metrics_of(grid: Sequence[DevRow], task: str) -> list[str]:
    """The metrics of a task, the main one first."""
    return list(dict.fromkeys(row.metric for row in grid if row.task == task))


def rows_of(grid: Sequence[Row], task: str, metric: str | None = None) -> list[Row]:
    """A task's rows for one metric, by default its main one: one row per cell, without the input itself."""
    chosen = metric or next(iter(metrics_of(grid, task)), None)
    return [row for row in grid if row.task == task and row.metric == chosen and row.cell.method != INPUT]


def input_of(grid: Sequence[GridRow], task: str, metric: str) -> GridRow | None:
    """What the recordings score as they are, where the task can say."""
    return next((row for row in grid if (row.task, row.metric, row.cell.method) == (task, metric, INPUT)), None)


def daisy_of(rows: Sequence[GridRow]) -> list[GridRow]:
    """The rows of DAISY's cells."""
    return [row for row in rows if row.cell.method.by_entropy]


def best_of(rows: Sequence[GridRow]) -> float:
    """The best value of a metric; an oracle knows the answers, so that it does not compete."""
    values = [row.value for row in rows if row.cell.method.kind != "oracle"]
    return max(values) if rows[0].higher_is_better else min(values)


def row_of(rows: Sequence[Row], cell: GridCell | None) -> Row | None:
    """The row of a cell among a task's rows for one metric; None if it is not there."""
    return next((row for row in rows if row.cell == cell), None)


def fixed_exits(grid: Sequence[GridRow]) -> list[Method]:
    """The fixed exits of the grid, the lowest layer first."""
    return sorted({row.cell.method for row in grid if row.cell.method.layer}, key=lambda method: method.layer or 0)


def compared_with(thresholds: Sequence[ThresholdRow]) -> str:
    """What DAISY's thresholds are compared with: one signal in a run."""
    return next((row.signal for row in thresholds if row.method == DAISY.row), ENTROPY)
