"""The result tables: their columns, typed reading and writing, and the questions that are asked of the grid.

Every table is a dataclass whose fields are its columns, in order. Null is an empty cell, and booleans
are ``true`` and ``false``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from daisy.errors import DaisyError
from daisy.files import read_csv, write_csv
from daisy.grid_cell import GridCell
from daisy.method import FULL, INPUT, Method

Table = TypeVar("Table")


@dataclasses.dataclass(frozen=True)
class CellRow:
    """A row about a cell of one task.

    Attributes:
        task: The task's name.
        method: ``daisy``, ``full``, ``layerN``, or ``input``: the recordings as they are, with 0 for all that a
            model would cost.
        rho: The threshold's scale; None for a baseline.
        strategy: How candidate layers were chosen; None for a baseline.
    """

    task: str
    method: str
    rho: float | None
    strategy: str | None

    @functools.cached_property
    def cell(self) -> GridCell:
        """What the row is about.

        Raises:
            DaisyError: if there is no such method.
        """
        return GridCell(Method.parse(self.method, self.rho), self.strategy)


@dataclasses.dataclass(frozen=True)
class GridRow(CellRow):
    """One metric of one cell: ``grid.csv``.

    Attributes:
        metric: The metric's name.
        value: The metric on the test set.
        ci_low: Lower end of its 95% confidence interval.
        ci_high: Upper end.
        higher_is_better: The metric's direction.
        n_utterances: Size of the test set.
        mean_exit_layer: Mean over the test set.
        macs_per_second: Multiply-accumulate operations per second of audio.
        rtf: Processing time over audio time.
        speedup_vs_full: The full model's time over this cell's, measured side by side.
    """

    metric: str
    value: float
    ci_low: float
    ci_high: float
    higher_is_better: bool
    n_utterances: int
    mean_exit_layer: float
    macs_per_second: float
    rtf: float
    speedup_vs_full: float

    def reaches(self, value: float) -> bool:
        """Whether this row's value is `value` or better."""
        return self.value >= value if self.higher_is_better else self.value <= value


@dataclasses.dataclass(frozen=True)
class SeedRow(CellRow):
    """One metric of one cell as trained with one seed: ``seeds.csv``; ``grid.csv`` holds the means."""

    metric: str
    seed: int
    value: float
    speedup_vs_full: float


@dataclasses.dataclass(frozen=True)
class EntropyRow:
    """E_bar_k of a task's training set, in nats: ``entropy.csv``."""

    task: str
    layer: int
    mean_entropy: float


@dataclasses.dataclass(frozen=True)
class ExitRow(CellRow):
    """How many test utterances stopped at a layer: ``exits.csv``."""

    layer: int
    count: int


@dataclasses.dataclass(frozen=True)
class ThresholdRow:
    """A threshold in nats, and the rule that gave it: ``thresholds.csv``."""

    task: str
    rho: float
    tau: float
    rule: str


@dataclasses.dataclass(frozen=True)
class CandidateRow:
    """Candidate layers, separated by spaces; whether ``threshold`` fell back: ``candidates.csv``."""

    task: str
    rho: float
    strategy: str
    candidates: str
    fallback: bool

    @property
    def cell(self) -> GridCell:
        """What the row is about."""
        return GridCell(Method("daisy", self.rho), self.strategy)


def typed(kind: type[Table], values: Mapping[str, Any], file: str | Path) -> Table:
    """Build a row of `kind` from JSON values.

    Raises:
        DaisyError: if a column is missing, or its value is of another type or not finite.
    """
    result = {}
    for name, hint in typing.get_type_hints(kind).items():
        if name not in values:
            raise DaisyError(f"{name!r} is missing", file=file, fix="Delete the file and run again")
        result[name] = _checked(values[name], hint, name, file)
    return kind(**result)


def _checked(value: Any, hint: Any, name: str, file: str | Path) -> Any:
    optional = isinstance(hint, types.UnionType)
    wanted = typing.get_args(hint)[0] if optional else hint
    if value is None and optional:
        return None
    if wanted is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if wanted is not float and type(value) is wanted:
        return value
    raise DaisyError(f"{name!r} is {value!r}, not {wanted.__name__}", file=file, fix="Delete the file and run again")


def _parsed(text: str | None, hint: Any) -> Any:
    """The JSON value of a cell; a cell that does not fit is left as text, for `typed` to refuse."""
    wanted = typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint
    if not text:
        return None
    if wanted is bool:
        return {"true": True, "false": False}.get(text, text)
    try:
        return text if wanted is str else wanted(text)
    except ValueError:
        return text


def read_table(kind: type[Table], path: Path) -> list[Table]:
    """Read a table.

    Raises:
        DaisyError: if the file is missing, lacks a column or has a cell of another type.
    """
    hints = typing.get_type_hints(kind)
    return [
        typed(kind, {name: _parsed(row[name], hint) for name, hint in hints.items()}, path)
        for row in read_csv(path, columns=tuple(hints))
    ]


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def write_table(kind: type[Table], path: Path, rows: Iterable[Table]) -> None:
    """Write a table, atomically."""
    names = tuple(typing.get_type_hints(kind))
    write_csv(path, names, ({name: _cell(getattr(row, name)) for name in names} for row in rows))


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


COSTS = ("mean_exit_layer", "macs_per_second", "rtf", "speedup_vs_full")
"""Columns that do not depend on the metric."""


def side_by_side(grid: Sequence[GridRow]) -> list[dict[str, Any]]:
    """The paper's Table 1: a row per method, rho and strategy, with every task's metrics and costs in columns.

    The input itself has metrics alone, and a cell that a task lacks is empty.
    """
    cells = cells_of(grid)
    table: dict[GridCell, dict[str, Any]] = {
        cell: {"method": cell.method.row, "rho": cell.method.rho, "strategy": cell.strategy} for cell in cells
    }
    columns: dict[str, None] = dict.fromkeys(("method", "rho", "strategy"))
    for task in tasks_of(grid):
        for row in (row for row in grid if row.task == task):
            values = {
                f"{task}_{row.metric}": row.value,
                f"{task}_{row.metric}_ci_low": row.ci_low,
                f"{task}_{row.metric}_ci_high": row.ci_high,
            }
            table[row.cell] |= values
            columns |= dict.fromkeys(values)
        for row in (row for row in grid if row.task == task and row.cell.method != INPUT):
            table[row.cell] |= {f"{task}_{name}": getattr(row, name) for name in COSTS}
        columns |= dict.fromkeys(f"{task}_{name}" for name in COSTS)
    return [{name: line.get(name) for name in columns} for line in table.values()]


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
    matching = [row for row in rows if row.cell.method.by_entropy and row.reaches(bound) and row.speedup_vs_full > 1]
    return max(matching, key=lambda row: row.speedup_vs_full, default=None)
