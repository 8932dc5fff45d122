"""Thresholds: the entropy in nats at which an utterance may stop, from a task's mean entropies or its config."""

from __future__ import annotations

from collections.abc import Sequence

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


def threshold_for(rule: str, task: str, rho: float, mean_entropy: Sequence[float], absolute: float | None) -> float:
    """The threshold of a task.

    Args:
        rule: ``midrange``, or ``absolute`` for a number of the config, used as it stands: the published code compares
            entropies with its setting `u_threshold`, and scales nothing.
        task: The task's name.
        rho: The scale.
        mean_entropy: E_bar_k for k = 1..K, in nats.
        absolute: The config's threshold in nats for this task and scale, if it has one.

    Raises:
        DaisyError: if the config has none, or the rule is unknown.
    """
    if rule == "midrange":
        return midrange(mean_entropy, rho)
    if rule != "absolute":
        raise DaisyError(f"the threshold rule {rule!r} is unknown", fix="Use midrange or absolute")
    if absolute is None:
        raise DaisyError(
            f"no absolute threshold for the task {task} at rho {rho:g}", fix=f"Set thresholds.absolute.{task}"
        )
    return absolute
