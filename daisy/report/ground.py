"""Whether a verdict has ground: results better than nothing, intervals that tell, a clock that agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daisy.evaluation.rows import GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL
from daisy.report.grid import input_of, row_of
from daisy.report.wording import interval_text, value_text

HALF = 0.5
"""An interval says nothing if it reaches over more than this share of the way from the result to nothing at all."""

NO_WORD = 100.0
"""Error rate in per cent of words or phones of one who writes nothing."""

CLOCK = 1.1
"""The full model's time over its own may be off by this factor, either way."""


def nothing(grid: Sequence[GridRow], speakers: Mapping[str, int], task: str, metric: str) -> tuple[float, str] | None:
    """What one scores who does nothing, and who that is; None where that is not known.

    Args:
        grid: The run's grid, in which the unprocessed input has rows of its own.
        speakers: The speakers that a task's training knows, by task.
        task: The task.
        metric: Its metric.
    """
    before = input_of(grid, task, metric)
    if before:
        return before.value, "the unprocessed input"
    if metric in ("wer", "per"):
        return NO_WORD, "one who writes nothing"
    if (task, metric) == ("sid", "accuracy") and speakers.get(task):
        return 100.0 / speakers[task], f"a guess among {speakers[task]} speakers"
    return None


def no_ground(row: GridRow, least: tuple[float, str] | None, name: str) -> str:
    """Why a result is nothing to compare with; empty if it is something.

    Args:
        row: The result.
        least: What `nothing` says of its metric.
        name: Whose result it is, in words.
    """
    if least is None:
        return ""
    floor, who = least
    ahead = (row.worse_end - floor) if row.higher_is_better else (floor - row.worse_end)
    if ahead <= 0:
        return f"The {name} ({value_text(row, interval=True)}) is not clearly better than {who} ({floor:.3g})."
    if abs(row.value - row.worse_end) > HALF * abs(row.value - floor):
        return (
            f"The interval of the {name}, {interval_text(row)}, reaches more than half of the way to {who} "
            f"({floor:.3g}): too few test utterances to tell results apart."
        )
    return ""


def clock(rows: Sequence[GridRow]) -> str:
    """How a task's timing contradicts itself; empty if it does not.

    Args:
        rows: A task's rows for one metric. The full model is timed beside itself, as every cell is.
    """
    full = row_of(rows, GridCell(FULL))
    if full is None or 1 / CLOCK <= full.speedup_vs_full <= CLOCK:
        return ""
    return (
        f"The timing contradicts itself: the full model came out {full.speedup_vs_full:.2f} times as fast as itself, "
        "so that the machine was not calm."
    )
