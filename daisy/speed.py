"""Measuring speed: compute time at batch 1, several systems interleaved on the same recordings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def interleaved(
    systems: Mapping[str, Callable[[Tensor], object]], waves: Sequence[Tensor], rounds: int
) -> dict[str, float]:
    """Seconds that each system takes for all recordings, loading excluded.

    Every recording goes through all systems before the next, in an order that turns with each round, so
    that a drift of the machine's speed meets all of them. The median over rounds counts, recording by
    recording; one more round beforehand warms up.

    Args:
        systems: What to time, by name; each takes a recording (samples,).
        waves: The recordings, in memory.
        rounds: Timed runs of each system on each recording.

    Returns:
        The sum over recordings of the medians, in seconds, by name.
    """
    names = list(systems)
    totals = dict.fromkeys(names, 0.0)
    for wave in waves:
        taken: dict[str, list[float]] = {name: [] for name in names}
        for round_number in range(rounds + 1):
            shift = round_number % len(names)
            for name in names[shift:] + names[:shift]:
                start = time.perf_counter()
                systems[name](wave)
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                taken[name].append(time.perf_counter() - start)
        for name in names:
            totals[name] += statistics.median(taken[name][1:])
    return totals
