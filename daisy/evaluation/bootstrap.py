"""Confidence intervals by bootstrap over utterances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daisy.common.seeds import generator
from daisy.tasks.base import Metric, Score


def drawn(count: int, draws: int, seed: int) -> np.ndarray:
    """(draws, count) of so many utterances, with replacement."""
    return generator(seed, "bootstrap").integers(count, size=(draws, count))


def interval(
    scores: Sequence[Score], metric: Metric, *, draws: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """The percentile interval of a set's metric.

    Every method of a task draws the same utterances, so that intervals of two methods can be compared.

    Args:
        scores: One per utterance.
        metric: Which metric.
        draws: Sets drawn with replacement.
        seed: Seed of the draws.
        level: Share of the draws inside.

    Returns:
        Its lower and upper end, in the metric's unit.
    """
    pairs = np.array([score[metric.name] for score in scores])
    sums = pairs[drawn(len(pairs), draws, seed)].sum(axis=1)
    values = metric.scale * sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
