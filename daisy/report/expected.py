"""What result goes with a share of the full model's arithmetic, as far as a run's tables tell.

``signals_curve.csv`` (`snakemake signals`) has the result at every threshold, which is what a budget chooses; every
other run has ``grid.csv``, whose cells have thresholds and candidates of their own: the nearest in cost must do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import BudgetRow, GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, Method
from daisy.report.grid import daisy_of, row_of, rows_of
from daisy.report.signal_plots import CurveRow
from daisy.report.wording import cell_label, decimals, metric_label

WHOLE = "fixed"
"""The curve of one layer for all, whose last point is the whole model."""


@dataclasses.dataclass(frozen=True)
class Expected:
    """A result that a budget buys.

    Attributes:
        system: The trained model, or its cell in the grid.
        metric: The task's main metric.
        share: Of the full model's arithmetic, the downstream model's included, at which the result was had.
        value: The result on the run's test set.
        ci_low: Lower end of its 95% interval.
        ci_high: Upper end.
        full: The full model's result; None if the table lacks it.
        table: The file.
    """

    system: str
    metric: str
    share: float
    value: float
    ci_low: float
    ci_high: float
    full: float | None
    table: str

    def __str__(self) -> str:
        places = decimals(self.ci_high - self.ci_low)
        value, low, high = (f"{number:.{places}f}" for number in (self.value, self.ci_low, self.ci_high))
        full = "" if self.full is None else f"; full model {self.full:.{places}f}"
        cost = f"{self.share:.0%} with the downstream model"
        return f"{self.metric} {value} [{low}, {high}] at {cost}, {self.system}{full}"


def spent_on_test(tables: Path, task: str, share: float) -> float | None:
    """What a run's test set spends at the threshold for a share, of the model's own arithmetic.

    It is read between the shares that the run's table has; None beyond them, or without a table.
    """
    path = tables / "budget.csv"
    rows = read_table(BudgetRow, path) if path.is_file() else []
    own = sorted((row.asked, row.spent) for row in rows if (row.task, row.calibrated_on) == (task, "train"))
    if not own or not own[0][0] <= share <= own[-1][0]:
        return None
    return float(np.interp(share, [asked for asked, _ in own], [spent for _, spent in own]))


def expected(tables: Path, task: str, signal: str, share: float) -> list[Expected]:
    """What a run's tables say of a task at a share of the full model's arithmetic; nothing if the task is not there.

    Args:
        tables: The run's folder of tables.
        task: The task's name.
        signal: What the threshold is compared with.
        share: Of the full model's arithmetic.

    Raises:
        DaisyError: if there is no grid.
    """
    if not (tables / "grid.csv").is_file():
        fix = "Name the folder of a finished run, such as results/mini"
        raise DaisyError("no run's tables are here: there is no grid.csv", file=tables, fix=fix)
    grid = rows_of(read_table(GridRow, tables / "grid.csv"), task)
    if (tables / "signals_curve.csv").is_file():
        rows = read_table(CurveRow, tables / "signals_curve.csv")
        # The whole model asks no branch, and curves go beyond it: there who stops at the last layer asked them all.
        wanted = signal if share < 1 else WHOLE
        own = [row for row in rows if (row.task, row.signal) == (task, wanted)]
        if own and grid:
            return by_curve(own, grid, share)
    return nearest(grid, share)


def by_curve(rows: Sequence[CurveRow], grid: Sequence[GridRow], share: float) -> list[Expected]:
    """The points of a task's curves at a share, one per trained model, by lines between thresholds."""
    full, metric = row_of(grid, GridCell(FULL)), metric_label(grid[0].task, grid[0].metric)
    found = []
    for rho in sorted({row.rho for row in rows}):
        own = sorted((row for row in rows if row.rho == rho), key=lambda row: row.share)
        shares = [row.share for row in own]
        value, low, high = (
            float(np.interp(share, shares, [getattr(row, name) for row in own]))
            for name in ("value", "ci_low", "ci_high")
        )
        chosen = "any threshold" if share < 1 else "every layer"
        system, topline = f"{chosen}, {Method('daisy', rho).in_words}", full.value if full else None
        found.append(Expected(system, metric, share, value, low, high, topline, "signals_curve.csv"))
    return found


def nearest(grid: Sequence[GridRow], share: float) -> list[Expected]:
    """The cell of DAISY's whose cost is nearest to a share, if there is one and a full model to hold it against."""
    full, cells = row_of(grid, GridCell(FULL)), daisy_of(grid)
    if full is None or not cells:
        return []
    row = min(cells, key=lambda row: abs(row.macs_per_second / full.macs_per_second - share))
    spent = row.macs_per_second / full.macs_per_second
    metric = metric_label(row.task, row.metric)
    numbers = (row.value, row.ci_low, row.ci_high)
    return [Expected(f"nearest cell {cell_label(row.cell)}", metric, spent, *numbers, full.value, "grid.csv")]
