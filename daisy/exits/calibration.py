"""What a calibrated task needs at inference: thresholds and training histograms that travel with a model.

Data alone, since every checkpoint may hold some: what follows from them is `daisy.exits.request`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any


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
    """

    rule: str
    mean_entropy: tuple[float, ...]
    absolute: dict[float, float] | None
    q: float
    counts: dict[float, tuple[int, ...]]
    signal: str = "entropy"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        counts = {str(rho): list(values) for rho, values in sorted(self.counts.items())}
        given = sorted((self.absolute or {}).items())
        absolute = {str(rho): tau for rho, tau in given} or None
        plain = {"mean_entropy": list(self.mean_entropy), "absolute": absolute, "counts": counts}
        whole = {**dataclasses.asdict(self), **plain}
        # Not written where it is the paper's, so that older versions read the file, and files stay as they were.
        return whole if self.signal != "entropy" else {key: whole[key] for key in whole if key != "signal"}


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
            calibration = Calibration(str(item["rule"]), mean, absolute, float(item["q"]), counts, signal)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the calibration of {task} is malformed ({error})") from None
        if {len(mean), *map(len, counts.values())} != {layers}:
            raise ValueError(f"the calibration of {task} is for {len(mean)} layers, the model has {layers}")
        result[task] = calibration
    return result


def _absolute(value: Any, scales: Iterable[float]) -> dict[float, float] | None:
    """Thresholds at every scale; older files have one number, which they multiplied by the scale."""
    if isinstance(value, int | float):
        return {rho: rho * value for rho in scales}
    return value and {float(rho): float(tau) for rho, tau in value.items()}
