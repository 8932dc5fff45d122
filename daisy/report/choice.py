"""Which cell of DAISY's grid stands for it, where a claim, a figure or a summary asks for its best one.

The one place where cells are chosen. It looks at the table that it is given and at nothing else; what the chosen cell
is worth is read from the results on the test set, by whoever asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from daisy.evaluation.rows import GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, Kind


def choose(table: Sequence[GridRow], *, costing: float | None = None, kind: Kind = "daisy") -> GridCell | None:
    """The cell that one would take, going by `table`.

    Args:
        table: The rows by which cells are compared, of one task and one metric.
        costing: What the cell may cost at most, in MACs per second of audio; the best result at that cost is taken.
            Without it, the fastest cell is taken that is faster than the full model and inside its interval, or better.
        kind: The kind of method whose cells stand for choice.

    Returns:
        The cell; None if none is good or cheap enough, or if the table has no full model to compare with.
    """
    cells = [row for row in table if row.cell.method.kind == kind]
    if costing is not None:
        cheap = [row for row in cells if row.macs_per_second <= costing]
        best = max(cheap, key=lambda row: (_goodness(row), row.speedup_vs_full), default=None)
        return best.cell if best else None
    full = next((row for row in table if row.cell.method == FULL), None)
    if full is None:
        return None
    bound = full.ci_low if full.higher_is_better else full.ci_high
    keeping = [row for row in cells if row.reaches(bound) and row.speedup_vs_full > 1]
    fastest = max(keeping, key=lambda row: row.speedup_vs_full, default=None)
    return fastest.cell if fastest else None


def _goodness(row: GridRow) -> float:
    return row.value if row.higher_is_better else -row.value
