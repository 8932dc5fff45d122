"""Which cell of DAISY's grid stands for it, where a claim, a figure or a summary asks for its best one.

The one place where cells are chosen: on the dev set, and by operations, which no clock disturbs. What the chosen cell
is worth is read from the results on the test set, by whoever asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from daisy.evaluation.rows import DevRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, Kind
from daisy.report.grid import row_of


def choose(table: Sequence[DevRow], *, within: GridCell | None = None, kind: Kind = "daisy") -> GridCell | None:
    """The cell that one would take, going by `table`.

    Args:
        table: The rows by which cells are compared, of one task and one metric.
        within: A cell whose operations per second of audio the chosen one may not exceed; the best result at that cost
            is taken. Without it, the cheapest cell is taken that costs less than the full model and is inside its
            interval, or better.
        kind: The kind of method whose cells stand for choice.

    Returns:
        The cell; None if none is good or cheap enough, or if the table lacks what to compare with.
    """
    cells = [row for row in table if row.cell.method.kind == kind]
    bound = row_of(table, within or GridCell(FULL))
    if bound is None:
        return None
    if within is not None:
        cheap = [row for row in cells if row.macs_per_second <= bound.macs_per_second]
        return _cell(max(cheap, key=lambda row: (_goodness(row), -row.macs_per_second), default=None))
    keeping = [row for row in cells if row.reaches(bound.worse_end) and row.macs_per_second < bound.macs_per_second]
    return _cell(min(keeping, key=lambda row: (row.macs_per_second, -_goodness(row)), default=None))


def best(table: Sequence[DevRow], kind: Kind) -> GridCell | None:
    """The cell with the best result, whatever it costs; None if there is none of that kind."""
    cells = [row for row in table if row.cell.method.kind == kind]
    return _cell(max(cells, key=lambda row: (_goodness(row), -row.macs_per_second), default=None))


def _cell(row: DevRow | None) -> GridCell | None:
    return row.cell if row else None


def _goodness(row: DevRow) -> float:
    return row.value if row.higher_is_better else -row.value
