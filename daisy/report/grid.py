"""The questions that claims, figures and the report ask of the grid."""

from __future__ import annotations

from collections.abc import Sequence

from daisy.evaluation.rows import GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, INPUT


def tasks_of(grid: Sequence[GridRow]) -> list[str]:
    """The tasks of the grid, in its order."""
    return list(dict.fromkeys(row.task for row in grid))


def cells_of(grid: Sequence[GridRow]) -> list[GridCell]:
    """The cells of all tasks, each once, in their order."""
    return sorted({row.cell for row in grid}, key=lambda cell: cell.key)


def metrics_of(grid: Sequence[GridRow], task: str) -> list[str]:
    """The metrics of a task, the main one first."""
    return list(dict.fromkeys(row.metric for row in grid if row.task == task))


def rows_of(grid: Sequence[GridRow], task: str, metric: str | None = None) -> list[GridRow]:
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


def fastest_match(rows: Sequence[GridRow]) -> GridRow | None:
    """The fastest DAISY cell that is faster than the full model and inside its interval, or better.

    Args:
        rows: A task's rows for one metric.

    Returns:
        The cell, or None if there is no such cell or no full model.
    """
    full = next((row for row in rows if row.cell.method == FULL), None)
    if full is None:
        return None
    bound = full.ci_low if full.higher_is_better else full.ci_high
    matching = [row for row in daisy_of(rows) if row.reaches(bound) and row.speedup_vs_full > 1]
    return max(matching, key=lambda row: row.speedup_vs_full, default=None)
