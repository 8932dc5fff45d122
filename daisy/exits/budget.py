"""A budget: which threshold spends a share of the full model's arithmetic, and how a stream of recordings keeps to it.

Numbers alone, so that every runtime has the same. What a threshold spends is measured on a task's training set, with
every layer a candidate, and kept with its calibration; a budget is that table read the other way round. Other
recordings spend something else. `Controller` makes up for it as they come.
"""

from __future__ import annotations

import math

import numpy as np

from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration, Spending
from daisy.exits.rule import ExitRule, all_candidates

POINTS = 33
"""Thresholds that a calibration keeps, at equal shares of what was measured; between two of them it is a line."""

REACH = 4.0
"""So many mean recordings later a controller means to be even: with fewer it follows faster, with more it is calmer."""


def thresholds(signal: np.ndarray, floor: int, points: int) -> np.ndarray:
    """(T,) the thresholds that make a difference, ascending: what was measured where it is asked, or quantiles of it.

    Args:
        signal: (N, K) what every branch says of every recording.
        floor: The first candidate; the last layer is never asked.
        points: So many at most.
    """
    said = np.unique(signal[:, floor - 1 : signal.shape[1] - 1])
    return np.quantile(said, np.linspace(0, 1, points)) if len(said) > points else said


def spending(signal: np.ndarray, costs: np.ndarray, full: np.ndarray, floor: int) -> Spending | None:
    """What thresholds spend on a set of recordings; None if nothing can be chosen, since the floor is the last layer.

    Args:
        signal: (N, K) what every branch says of every recording.
        costs: (N, K) the arithmetic of who stops at a layer, asked branches included.
        full: (N,) that of the full model.
        floor: The first candidate.
    """
    layers = signal.shape[1]
    if floor == layers:
        return None
    tau = thresholds(signal, floor, POINTS)
    exits = [ExitRule(all_candidates(floor, layers), float(value)).layers(signal) for value in tau]
    return Spending(
        floor,
        tuple(tau.tolist()),
        tuple(float(np.take_along_axis(costs, row[:, None] - 1, axis=1).sum() / full.sum()) for row in exits),
        tuple(float(row.mean()) for row in exits),
    )


def kept(calibration: Calibration, task: str) -> Spending:
    """What a task's calibration keeps of what thresholds spend.

    Raises:
        DaisyError: if it keeps nothing: it is of an older version, or its floor is the last layer.
    """
    if calibration.spending is None:
        raise DaisyError(
            f"the calibration of {task} does not say what thresholds spend, so that none follows from a budget",
            fix="Make the model's file again with this version (snakemake), or pass threshold= in nats",
        )
    return calibration.spending


def check_budget(budget: float) -> None:
    """Make sure that a budget is one.

    Raises:
        DaisyError: if it is no share, above 0 and up to 1.
    """
    if not 0 < budget <= 1:
        fix = "Give a share of the full model's arithmetic, above 0 and up to 1, for example 0.6"
        raise DaisyError(f"the budget is {budget:g}", fix=fix)


def within(known: Spending, layers: int, share: float) -> tuple[tuple[int, ...], float]:
    """The candidates and the threshold that spend a share; beyond what thresholds can spend, a fixed exit.

    At 1 and above it is the full model, which asks nobody; below the cheapest, it is the floor for all.

    Args:
        known: What thresholds spend.
        layers: K.
        share: Of the full model's arithmetic.
    """
    if share >= 1:
        return (layers,), 0.0
    if share < known.spent[-1]:
        return (known.floor,), 0.0
    # Where several thresholds spend the same, numpy takes one of them, which spends that as well.
    return all_candidates(known.floor, layers), float(np.interp(share, known.spent[::-1], known.tau[::-1]))


def expected_exit(known: Spending, layers: int, share: float) -> float:
    """The mean exit layer of recordings like those of the calibration that spend a share."""
    return float(layers if share >= 1 else np.interp(share, known.spent[::-1], known.mean_exit[::-1]))


def check_affordable(budget: float, known: Spending) -> None:
    """Make sure that a budget can be kept.

    Raises:
        DaisyError: if it is no share, or below what the cheapest threshold spends.
    """
    check_budget(budget)
    least = known.spent[-1]
    if budget < least:
        problem = f"a budget of {budget:g} is below what stopping everybody at layer {known.floor} costs"
        raise DaisyError(
            problem, fix=f"Ask for {math.ceil(1000 * least) / 1000:g} or more of the full model's arithmetic"
        )


class Controller:
    """Keeps what a stream of recordings spends at a share of the full model's arithmetic.

    What was owed so far, less what was spent, is a credit in operations; it can be negative. The next recording is
    asked for the budget plus the credit over `REACH` mean recordings. That is integral control of the threshold, by way
    of what thresholds spend: noise, which makes branches less sure, draws on the credit until less is asked. Beyond the
    ends of what can be asked stand fixed exits, which spend less or more than the budget whatever a branch says; so
    the credit stays within bounds on any recordings at all (`bound`).

    Args:
        budget: The share.
        known: What thresholds spend.

    Raises:
        DaisyError: if the budget is no share, or below what the cheapest threshold spends.

    Attributes:
        budget: The share.
        spent: Operations so far.
        full: Those of the full model on the same recordings.
    """

    def __init__(self, budget: float, known: Spending) -> None:
        check_affordable(budget, known)
        self.budget, self._least = budget, known.spent[-1]
        self.spent = self.full = 0.0
        self._count = 0
        self._step = self._mean = 0.0

    @property
    def share(self) -> float:
        """What was spent so far, of the full model's arithmetic; NaN before the first recording."""
        return self.spent / self.full if self.full else float("nan")

    @property
    def asked(self) -> float:
        """The share that the next recording is asked for, as `within` takes it: it can lie below 0 and above 1."""
        if not self.full:
            return self.budget
        credit = self.budget * self.full - self.spent
        return self.budget + credit / (REACH * self.full / self._count)

    @property
    def bound(self) -> float:
        """How far `share` can be from the budget by now, whatever branches said; infinite before the first recording.

        With a credit of `REACH` mean recordings times the way from the budget to an end of what can be asked, either
        way, the fixed exit there is taken, which brings the credit nearer to zero. So it is never further from zero
        than that and the one recording that was furthest from the budget.
        """
        if not self.full:
            return float("inf")
        way = max(self.budget - self._least, 1 - self.budget)
        return (REACH * self._mean * way + self._step) / self.full

    def note(self, spent: float, full: float) -> None:
        """Enter a recording, or several that ran at once: what was spent, and what the full model would have."""
        self.spent, self.full, self._count = self.spent + spent, self.full + full, self._count + 1
        self._step = max(self._step, abs(spent - self.budget * full))
        self._mean = max(self._mean, self.full / self._count)
