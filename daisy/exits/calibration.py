"""What a calibrated task needs at inference: thresholds and training histograms that travel with a model.

Data alone, since every checkpoint may hold some: what follows from them is `daisy.exits.request`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spending:
    """What a task's training set spends at a threshold, every layer from a floor on a candidate.

    Attributes:
        floor: The first candidate.
        tau: Thresholds, ascending: from nobody stops early, or next to nobody, to everybody stops at the floor.
        spent: At each the share of the full model's arithmetic, asked branches included; it never rises.
        mean_exit: At each the mean exit layer.
    """

    floor: int
    tau: tuple[float, ...]
    spent: tuple[float, ...]
    mean_exit: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A task's calibration.

    Attributes:
        rule: How a threshold follows from rho: ``midrange``, ``quantile`` or ``absolute``.
        mean_entropy: E_bar_k for k = 1..K on the task's training set, in nats; of another signal, its means.
        absolute: The task's threshold at every rho, for the rules ``absolute`` and ``quantile``.
        q: The share that the strategy ``threshold`` asks of a layer.
        counts: For every calibrated rho, how many training utterances stopped at layers 1..K.
        signal: What the threshold is compared with (`daisy.exits.signals`).
        spending: What thresholds spend; None in files of older versions.
    """

    rule: str
    mean_entropy: tuple[float, ...]
    absolute: dict[float, float] | None
    q: float
    counts: dict[float, tuple[int, ...]]
    signal: str = "entropy"
    spending: Spending | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        counts = {str(rho): list(values) for rho, values in sorted(self.counts.items())}
        given = sorted((self.absolute or {}).items())
        absolute = {str(rho): tau for rho, tau in given} or None
        plain = {"mean_entropy": list(self.mean_entropy), "absolute": absolute, "counts": counts}
        whole = {**dataclasses.asdict(self), **plain}
        # Not written where it is the paper's, or not known, so that files stay as older versions wrote them.
        left_out = {"signal": self.signal == "entropy", "spending": self.spending is None}
        return {key: value for key, value in whole.items() if not left_out.get(key)}


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
            absolute = _absolute(item.get("absolute"), counts)
            signal = str(item.get("signal", "entropy"))
            spending = _spending(item.get("spending"), layers)
            calibration = Calibration(str(item["rule"]), mean, absolute, float(item["q"]), counts, signal, spending)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the calibration of {task} is malformed ({error})") from None
        if {len(mean), *map(len, counts.values())} != {layers}:
            raise ValueError(f"the calibration of {task} is for {len(mean)} layers, the model has {layers}")
        result[task] = calibration
    return result


def _spending(value: Any, layers: int) -> Spending | None:
    if value is None:
        return None
    columns = [tuple(map(float, value[name])) for name in ("tau", "spent", "mean_exit")]
    found = Spending(int(value["floor"]), *columns)
    if len({len(column) for column in columns}) != 1 or not found.tau or not 1 <= found.floor <= layers:
        raise TypeError("what thresholds spend is no table")
    return found


def _absolute(value: Any, scales: Iterable[float]) -> dict[float, float] | None:
    """Thresholds at every scale; older files have one number, which they multiplied by the scale."""
    if isinstance(value, int | float):
        return {rho: rho * value for rho in scales}
    return value and {float(rho): float(tau) for rho, tau in value.items()}
