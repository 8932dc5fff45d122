"""What a calibrated task needs at inference: thresholds and training histograms that travel with a model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.exits import candidate_layers, threshold_for


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A task's calibration.

    Attributes:
        rule: How a threshold follows from rho: ``midrange`` or ``absolute``.
        mean_entropy: E_bar_k for k = 1..K on the task's training set, in nats.
        absolute: The task's threshold in nats, for the rule ``absolute``.
        q: The share that the strategy ``threshold`` asks of a layer.
        counts: For every calibrated rho, how many training utterances stopped at layers 1..K.
    """

    rule: str
    mean_entropy: tuple[float, ...]
    absolute: float | None
    q: float
    counts: dict[float, tuple[int, ...]]

    def cell(self, task: str, rho: float, strategy: str) -> tuple[tuple[int, ...], float]:
        """Candidate layers and the threshold in nats.

        Raises:
            DaisyError: if `rho` is not calibrated or the strategy unknown.
        """
        if rho not in self.counts:
            known = ", ".join(f"{value:g}" for value in sorted(self.counts)) or "none"
            raise DaisyError(
                f"rho {rho:g} is not calibrated for {task} (calibrated: {known})",
                fix="Use one of these, or pass threshold= in nats",
            )
        absolute = {} if self.absolute is None else {task: self.absolute}
        tau = threshold_for(self.rule, task, rho, self.mean_entropy, absolute)
        return candidate_layers(strategy, self.counts[rho], self.q), tau

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        counts = {str(rho): list(values) for rho, values in sorted(self.counts.items())}
        return {**dataclasses.asdict(self), "mean_entropy": list(self.mean_entropy), "counts": counts}


def from_plain(value: Mapping[str, Any], layers: int) -> dict[str, Calibration]:
    """The calibrations by task.

    Raises:
        ValueError: if one is malformed or made for another depth.
    """
    result = {}
    for task, item in value.items():
        try:
            counts = {float(rho): tuple(int(n) for n in numbers) for rho, numbers in item["counts"].items()}
            mean = tuple(float(number) for number in item["mean_entropy"])
            calibration = Calibration(str(item["rule"]), mean, item.get("absolute"), float(item["q"]), counts)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the calibration of {task} is malformed ({error})") from None
        if {len(mean), *map(len, counts.values())} != {layers}:
            raise ValueError(f"the calibration of {task} is for {len(mean)} layers, the model has {layers}")
        result[task] = calibration
    return result


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
) -> tuple[tuple[int, ...], float]:
    """The candidate layers and the threshold in nats of a request (see `daisy.model.Daisy`).

    Args:
        layers: K.
        calibrations: By task.
        has_branches: Whether the model can measure an entropy.
        rho: The scale of a calibrated task's threshold; with `strategy` and `task`.
        strategy: Which layers are candidates.
        task: Whose calibration.
        threshold: In nats, with every layer a candidate.
        layer: Always there.

    Raises:
        DaisyError: if the request is contradictory, or the model cannot serve it.
    """
    calibrated = {"rho": rho, "strategy": strategy, "task": task}
    lacking = [name for name, value in calibrated.items() if value is None]
    asks = len(lacking) < len(calibrated)
    if asks + (threshold is not None) + (layer is not None) > 1:
        raise DaisyError("several ways of stopping at once", fix="Give rho, strategy and task, or threshold, or layer")
    if layer is not None:
        if not 1 <= layer <= layers:
            raise DaisyError(f"no layer {layer}", fix=f"Choose one from 1 to {layers}")
        return (layer,), 0.0
    if not asks and threshold is None:
        return (layers,), 0.0
    if not has_branches:
        raise DaisyError("the model has no exit branches", fix="Train branches for it, or ask for a fixed exit (layer)")
    if threshold is not None:
        if math.isnan(threshold):
            raise DaisyError("the threshold is NaN", fix="Give it in nats, for example 2.5")
        return tuple(range(1, layers + 1)), threshold
    if rho is None or strategy is None or task is None:
        raise DaisyError(f"{lacking[0]} is missing", fix="Give rho, strategy and task together")
    if task not in calibrations:
        known = ", ".join(sorted(calibrations)) or "none"
        raise DaisyError(
            f"the model is not calibrated for the task {task!r} (calibrated: {known})",
            fix="Use a calibrated task, or pass threshold= in nats",
        )
    return calibrations[task].cell(task, rho, strategy)
