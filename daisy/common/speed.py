"""Measuring speed: compute time at batch 1, several systems interleaved on the same recordings."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item")


def take_turns(
    works: Mapping[Name, Callable[[], object]], rounds: int, tick: Callable[[], float] = time.perf_counter
) -> dict[Name, list[float]]:
    """Seconds of each work in each round; one more round beforehand warms up.

    The order turns with each round, so that a drift of the machine's speed meets all of them.

    Args:
        works: What to time, by name.
        rounds: Timed runs of each.
        tick: The clock.
    """
    names = list(works)
    taken: dict[Name, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            begin = tick()
            works[name]()
            if torch.cuda.is_available():  # what a GPU was given to do is not done when the call returns
                torch.cuda.synchronize()
            taken[name].append(tick() - begin)
    return {name: values[1:] for name, values in taken.items()}


def interleaved(
    systems: Mapping[Name, Callable[[Item], object]], waves: Sequence[Item], rounds: int
) -> dict[Name, float]:
    """Seconds that each system takes for all recordings, loading excluded.

    Every recording goes through all systems, which take turns, before the next. The median over rounds
    counts, recording by recording.

    Args:
        systems: What to time, by name; each takes a recording.
        waves: The recordings (samples,), or what stands for each of them in memory.
        rounds: Timed runs of each system on each recording.

    Returns:
        The sum over recordings of the medians, in seconds, by name.
    """
    totals = dict.fromkeys(systems, 0.0)
    for wave in waves:
        works = {name: functools.partial(system, wave) for name, system in systems.items()}
        for name, seconds in take_turns(works, rounds).items():
            totals[name] += statistics.median(seconds)
    return totals
