"""Thresholds: the entropy at which an utterance may stop, from what a task's training set measured or from its config.

Of another signal than entropy (`daisy.exits.signals`) they are had in the same ways, in its own unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daisy.errors import DaisyError


def midrange(mean_entropy: Sequence[float], rho: float) -> float:
    """tau = rho * (max_k E_bar_k + min_k E_bar_k) / 2.

    Inferred: the paper's shipped thresholds fit such a midpoint; nobody has confirmed it.

    Args:
        mean_entropy: E_bar_k for k = 1..K, in nats.
        rho: The paper's scale; its grid is 0.7, 0.76 and 1.0.

    Returns:
        The threshold in nats.
    """
    return rho * (max(mean_entropy) + min(mean_entropy)) / 2


def quantile(measured: np.ndarray, rho: float) -> float:
    """tau = the rho / 2 quantile of what all branches said of all training utterances: at rho 1 the median.

    The midpoint between extremes is moved by one layer that is unlike the others; a quantile is not. It is ours, not
    the paper's.

    Args:
        measured: (N, K) E_k of every training utterance.
        rho: The scale; from 2 on every utterance stops.

    Returns:
        The threshold, in the unit of what was measured.
    """
    return float(np.quantile(measured, min(1.0, rho / 2)))


def threshold_for(rule: str, task: str, rho: float, mean_entropy: Sequence[float], absolute: float | None) -> float:
    """The threshold of a task.

    Args:
        rule: ``midrange``, or a number that is used as it stands: with ``absolute`` the config's, as the published code
            compares entropies with its setting `u_threshold` and scales nothing; with ``quantile`` the calibration's.
        task: The task's name.
        rho: The scale.
        mean_entropy: E_bar_k for k = 1..K, in nats.
        absolute: That number for this task and scale, if there is one.

    Raises:
        DaisyError: if there is none, or the rule is unknown.
    """
    if rule == "midrange":
        return midrange(mean_entropy, rho)
    if rule not in ("absolute", "quantile"):
        raise DaisyError(f"the threshold rule {rule!r} is unknown", fix="Use midrange, quantile or absolute")
    if absolute is None:
        raise DaisyError(
            f"no {rule} threshold for the task {task} at rho {rho:g}",
            fix=f"Set thresholds.absolute.{task}" if rule == "absolute" else "Calibrate the task again",
        )
    return absolute
