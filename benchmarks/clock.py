"""Timing by turns: every round runs all works once, in an order that turns, and figures are ratios within a round.

A machine that slows down for a while then slows all of them, and a round's ratio stays what it is.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

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


def take_turns(
    works: Mapping[str, Callable[[], object]],
    repeat: int,
    device: torch.device | None = None,
    tick: Callable[[], float] = time.perf_counter,
) -> Taken:
    """Seconds of each work in each of `repeat` rounds; one more round beforehand warms up."""
    names = list(works)
    taken: Taken = {name: [] for name in names}
    gc.collect()
    for number in range(repeat + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            _wait(device)
            begin = tick()
            works[name]()
            _wait(device)
            taken[name].append(tick() - begin)
    return {name: values[1:] for name, values in taken.items()}


def _wait(device: torch.device | None) -> None:
    """What a GPU was given to do is not done when the call returns."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


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
