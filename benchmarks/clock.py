"""Ratios of works that took turns (`daisy.common.speed.take_turns`): each is of runs of one round.

A machine that slows down for a while then slows all of them, and a round's ratio stays what it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

Taken = dict[str, list[float]]
"""Seconds of every round, by work."""

SPREAD = ("system", "against", "ratio", "lowest", "highest", "ms")
"""The columns that every table of times starts with: the time of `system` divided by that of `against`, as median,
least and greatest of the rounds' ratios; and the median time of `system` in milliseconds, as information."""


class Spread(NamedTuple):
    """Median, least and greatest of some values."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(taken: Taken, system: str, against: str) -> Spread:
    """The time of `system` divided by that of `against`, round by round."""
    return spread([one / other for one, other in zip(taken[system], taken[against], strict=True)])


def total(taken: Taken, name: str, parts: Sequence[str]) -> None:
    """Add the work `name` whose time in every round is the sum of `parts`."""
    taken[name] = [sum(times) for times in zip(*(taken[part] for part in parts), strict=True)]


def row(taken: Taken, system: str, against: str, **more: Any) -> dict[str, Any]:
    """A row of a table of times: the columns `SPREAD`, and `more`."""
    median, lowest, highest = ratio(taken, system, against)
    milliseconds = 1000 * statistics.median(taken[system])
    values = (system, against, median, lowest, highest, milliseconds)
    return {**dict(zip(SPREAD, values, strict=True)), **more}
