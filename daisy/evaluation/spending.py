"""Result against cost of any exits, from what a model makes of every recording at every layer: plain arithmetic.

A curve is what a way of exiting gives as its threshold moves from everybody's first layer to everybody's last. What it
spends is a share of the full model's arithmetic. Its area, over its width, is the mean result over all that can be
spent, in the metric's own unit. Between two thresholds it is a line: that is what a draw between the two gives on
average. Intervals are by bootstrap over recordings, the same draws for all curves, so that differences are paired.

Shape suffixes: N recordings, K layers, T points of a curve, W weightings of the recordings (all alike, then the draws).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from daisy.common.arrays import arrays_in, save_arrays
from daisy.evaluation.bootstrap import drawn
from daisy.exits.budget import thresholds
from daisy.exits.rule import ExitRule, all_candidates
from daisy.tasks.base import Metric

POINTS = 200
"""Thresholds that a curve has at most, at equal distances among what was measured."""

STEPS = 201
"""Equal steps of cost over which an area is the mean."""


@dataclasses.dataclass(frozen=True)
class EveryExit:
    """What a model makes of a test set at every layer.

    Attributes:
        numerators: (N, K) of the task's main metric.
        denominators: (N, K).
        macs: (N, K) multiply-accumulate operations up to layer k, with the downstream head and without branches.
        branch: (N,) those of one branch.
    """

    numerators: np.ndarray
    denominators: np.ndarray
    macs: np.ndarray
    branch: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """N and K."""
        count, layers = self.macs.shape
        return count, layers

    def asking(self, floor: int) -> np.ndarray:
        """(N, K) operations of who asks the branch of every layer from `floor` to the exit, but the last layer's."""
        _, layers = self.shape
        asked = np.clip(np.arange(1, layers + 1) - floor + 1, 0, layers - floor)
        return self.macs + self.branch[:, None] * asked


def save_exits(path: Path, found: EveryExit) -> None:
    """Write what a model makes of a test set at every layer."""
    save_arrays(path, vars(found))


def load_exits(path: Path) -> EveryExit:
    """Read what `save_exits` wrote.

    Raises:
        DaisyError: if the file is missing or damaged.
    """
    with arrays_in(path, "results per layer", "Run the stage of layers again") as file:
        return EveryExit(**{field.name: file[field.name] for field in dataclasses.fields(EveryExit)})


def weightings(count: int, draws: int, seed: int) -> np.ndarray:
    """(1 + draws, N) how often each recording counts: once, then as `daisy.evaluation.bootstrap` draws them."""
    counts = np.array([np.bincount(row, minlength=count) for row in drawn(count, draws, seed)]).reshape(draws, count)
    return np.vstack([np.ones((1, count)), counts])


@dataclasses.dataclass(frozen=True)
class Curve:
    """Result against cost.

    Attributes:
        share: (W, T) of the full model's arithmetic, ascending.
        value: (W, T) the metric.
        mean_exit: (T,) the mean exit layer.
        tau: (T,) the threshold; NaN where there is none.
    """

    share: np.ndarray
    value: np.ndarray
    mean_exit: np.ndarray
    tau: np.ndarray

    def means(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(W,) the mean value from a share `low` (W,) to `high` (W,); beyond its ends a curve stays as it ends."""
        found = []
        for x, y, start, end in zip(self.share, self.value, low, high, strict=True):
            values = np.interp(np.linspace(start, end, STEPS), x, y)
            found.append((values[:-1] + values[1:]).mean() / 2)
        return np.array(found)


@dataclasses.dataclass(frozen=True)
class Plane:
    """Where the curves of one model lie.

    Attributes:
        every: What the model makes of the test set.
        metric: The task's main metric.
        weights: (W, N) the weightings.
        floor: The first layer at which anybody may stop.
    """

    every: EveryExit
    metric: Metric
    weights: np.ndarray
    floor: int = 1

    def _sums(self, table: np.ndarray, exits: np.ndarray) -> np.ndarray:
        """(W, T) sums of (N, K) numbers at some exits (T, N)."""
        return self.weights @ np.take_along_axis(table, exits.T - 1, axis=1)

    def _curve(self, exits: np.ndarray, costs: np.ndarray, tau: np.ndarray | None = None) -> Curve:
        numerators, denominators = (self._sums(x, exits) for x in (self.every.numerators, self.every.denominators))
        return Curve(
            self._sums(costs, exits) / self._full,
            self.metric.scale * numerators / np.maximum(denominators, 1e-12),
            exits.mean(axis=1),
            np.full(len(exits), np.nan) if tau is None else tau,
        )

    @property
    def _full(self) -> np.ndarray:
        """(W, 1) the full model's operations."""
        return (self.weights @ self.every.macs[:, -1])[:, None]

    def _exits(self, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, N) exits by every threshold, and (T,) thresholds: from nobody stops, descending the other way round."""
        layers = self.every.shape[1]
        candidates = all_candidates(self.floor, layers)
        tau = np.array([*thresholds(signal, self.floor, POINTS)[::-1], -np.inf])
        return np.array([ExitRule(candidates, float(t)).layers(signal) for t in tau]), tau

    def by_signal(self, signal: np.ndarray) -> Curve:
        """Everybody stops at the first layer whose signal, (N, K), is at most the threshold."""
        exits, tau = self._exits(signal)
        return self._curve(exits, self.every.asking(self.floor), tau)

    def dealt(self, signal: np.ndarray) -> Curve:
        """The same exits, dealt out at random, on average: what is left of a signal that knows nothing of a recording.

        So the mean exit layer is the same at every threshold, and so is the histogram.
        """
        exits, tau = self._exits(signal)
        layers = self.every.shape[1]
        total = self.weights.sum(axis=1)[:, None]
        shares = np.stack([self.weights @ (exits == k).T for k in range(1, layers + 1)], axis=-1) / total[..., None]
        every, costs = self.every, self.every.asking(self.floor)
        numerators, denominators, cost = (
            (shares * (self.weights @ table)[:, None]).sum(axis=-1)
            for table in (every.numerators, every.denominators, costs)
        )
        value = self.metric.scale * numerators / np.maximum(denominators, 1e-12)
        return Curve(cost / self._full, value, exits.mean(axis=1), tau)

    def fixed(self) -> Curve:
        """Everybody stops at one layer, without asking; between two layers some at the one and some at the other."""
        count, layers = self.every.shape
        exits = np.repeat(np.arange(self.floor, layers + 1)[:, None], count, axis=1)
        return self._curve(exits, self.every.macs)

    def oracle(self) -> Curve:
        """The bound: who knows every score, and asks nobody, buys the best result that a sum of money can buy.

        Each recording takes the exit at which its loss plus a price times its cost is least; the price falls from one
        that lets all stop at once to none. That is the upper hull of all assignments of exits to recordings, as far as
        a recording's denominator is the same at every layer.
        """
        every, start = self.every, self.floor - 1
        loss, cost = every.numerators[:, start:] * (-1 if self.metric.higher_is_better else 1), every.macs[:, start:]
        cost = cost / every.macs[:, -1].mean()
        slopes = np.abs(np.diff(loss, axis=1)) / np.diff(cost, axis=1)
        least, most = (slopes[slopes > 0].min(), slopes.max()) if (slopes > 0).any() else (1.0, 1.0)
        # Several layers together may be worth less than one alone, but no less than a K-th of the smallest step.
        prices = np.append(np.geomspace(2 * most, least / (2 * loss.shape[1]), POINTS), 0.0)
        exits = np.array([_cheapest(loss + price * cost) for price in prices]) + self.floor
        return self._curve(exits, every.macs)


def _cheapest(total: np.ndarray) -> np.ndarray:
    """(N,) the first place of the least number of each row, equal but for rounding."""
    return (total <= total.min(axis=1, keepdims=True) + 1e-9).argmax(axis=1)
