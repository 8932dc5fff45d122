"""Where an utterance may stop: what a caller asks for becomes candidate layers and a threshold."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping

from daisy.errors import DaisyError
from daisy.exits.budget import check_affordable, check_budget, kept, within
from daisy.exits.calibration import Calibration, Spending
from daisy.exits.candidates import candidate_layers
from daisy.exits.thresholds import threshold_for


def _of(calibrations: Mapping[str, Calibration], task: str) -> Calibration:
    if task not in calibrations:
        known = ", ".join(sorted(calibrations)) or "none"
        raise DaisyError(
            f"the model is not calibrated for the task {task!r} (calibrated: {known})",
            fix="Use a calibrated task, or pass threshold= in nats",
        )
    return calibrations[task]


def spending_of(calibrations: Mapping[str, Calibration], task: str) -> Spending:
    """What thresholds spend on a calibrated task.

    Raises:
        DaisyError: if the task is not calibrated, or its calibration is of an older version, which kept no such thing.
    """
    return kept(_of(calibrations, task), task)


def cell(
    calibrations: Mapping[str, Calibration], task: str, rho: float, strategy: str
) -> tuple[tuple[int, ...], float]:
    """Candidate layers and the threshold in nats of a calibrated task."""
    calibration = _of(calibrations, task)
    if rho not in calibration.counts:
        known = ", ".join(f"{value:g}" for value in sorted(calibration.counts)) or "none"
        raise DaisyError(
            f"rho {rho:g} is not calibrated for {task} (calibrated: {known})",
            fix="Use one of these, or pass threshold= in nats",
        )
    absolute = (calibration.absolute or {}).get(rho)
    tau = threshold_for(calibration.rule, task, rho, calibration.mean_entropy, absolute)
    return candidate_layers(strategy, calibration.counts[rho], calibration.q), tau


def resolve(
    layers: int,
    calibrations: Mapping[str, Calibration],
    has_branches: bool,
    *,
    rho: float | None = None,
    strategy: str | None = None,
    task: str | None = None,
    threshold: float | None = None,
    layer: int | None = None,
    budget: float | None = None,
) -> tuple[tuple[int, ...], float]:
    """The candidate layers and the threshold in nats of a request (see `daisy.library.model.Daisy`).

    Args:
        layers: K.
        calibrations: By task.
        has_branches: Whether the model can measure an entropy.
        rho: The scale of a calibrated task's threshold; with `strategy` and `task`.
        strategy: Which layers are candidates.
        task: Whose calibration.
        threshold: In nats, with every layer a candidate.
        layer: Always there.
        budget: The share of the full model's arithmetic that recordings like those of the task's calibration spend on
            average; with `task`.

    Raises:
        DaisyError: if the request is contradictory, or the model cannot serve it.
    """
    _check_numbers(rho=rho, threshold=threshold, budget=budget)
    if budget is not None:
        if any(given is not None for given in (rho, strategy, threshold, layer)):
            raise DaisyError("a budget, and another way of stopping", fix="Give budget and task alone")
        return _budgeted(layers, calibrations, has_branches, budget, task)
    calibrated = {"rho": rho, "strategy": strategy, "task": task}
    lacking = [name for name, value in calibrated.items() if value is None]
    asks = len(lacking) < len(calibrated)
    if asks + (threshold is not None) + (layer is not None) > 1:
        fix = "Give rho, strategy and task, or threshold, or layer, or budget and task"
        raise DaisyError("several ways of stopping at once", fix=fix)
    if layer is not None:
        if not isinstance(layer, numbers.Integral) or isinstance(layer, bool) or not 1 <= layer <= layers:
            raise DaisyError(f"no layer {layer!r}", fix=f"Choose one from 1 to {layers}")
        return (layer,), 0.0
    if not asks and threshold is None:
        return (layers,), 0.0
    _need(has_branches)
    if threshold is not None:
        if not threshold >= 0:
            value = "NaN" if math.isnan(threshold) else f"{threshold:g}, and no entropy is below zero"
            raise DaisyError(f"the threshold is {value}", fix="Give it in nats, for example 2.5")
        return tuple(range(1, layers + 1)), threshold
    if rho is None or strategy is None or task is None:
        raise DaisyError(f"{lacking[0]} is missing", fix="Give rho, strategy and task together")
    return cell(calibrations, task, rho, strategy)


def _check_numbers(**given: object) -> None:
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not hasattr(value, "__float__")):
            raise DaisyError(f"{name} is {value!r}", fix="Give it a number")


def _need(branches: bool) -> None:
    if not branches:
        raise DaisyError("the model has no exit branches", fix="Train branches for it, or ask for a fixed exit (layer)")


def _budgeted(
    layers: int, calibrations: Mapping[str, Calibration], has_branches: bool, budget: float, task: str | None
) -> tuple[tuple[int, ...], float]:
    """The candidate layers and the threshold of a budget."""
    check_budget(budget)
    _need(has_branches)
    if task is None:
        tasks = ", ".join(sorted(calibrations)) or "none"
        raise DaisyError("a budget without a task", fix=f"Say whose calibration, by task (calibrated: {tasks})")
    known = spending_of(calibrations, task)
    check_affordable(budget, known)
    return within(known, layers, budget)
