"""The exit rule: thresholds, candidate layers and the layer at which an utterance stops.

Pure functions on numbers and arrays, so that training, calibration, evaluation and the early-exit
forward pass decide by the same code. Layers are counted from 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from daisy.errors import DaisyError

Strategy = Literal["avg", "min-max", "threshold"]
"""How candidate layers follow from the training exit histogram (paper, section 2.3)."""

STRATEGIES: tuple[Strategy, ...] = ("avg", "min-max", "threshold")


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


def exit_layer(entropies: Sequence[float], candidates: Sequence[int], tau: float) -> int:
    """The smallest candidate k with E_k <= tau; the largest candidate if there is none.

    Args:
        entropies: E_k for k = 1..K, in nats; only candidates are looked at.
        candidates: Layers at which the utterance may stop.
        tau: The threshold in nats.
    """
    ordered = sorted(candidates)
    return next((k for k in ordered[:-1] if entropies[k - 1] <= tau), ordered[-1])


def exit_layers(entropies: np.ndarray, candidates: Sequence[int], tau: float) -> np.ndarray:
    """`exit_layer` of every row of (N, K) entropies: (N,) integers."""
    ordered = np.array(sorted(candidates))
    below = entropies[:, ordered - 1] <= tau
    below[:, -1] = True
    return ordered[below.argmax(axis=1)]


def all_candidates(floor: int, layers: int) -> range:
    """The candidates of training: every layer from `floor` (1 in the paper) to the last.

    Raises:
        DaisyError: if the model has no such layer.
    """
    if not 1 <= floor <= layers:
        raise DaisyError(f"a floor at layer {floor} of a model of {layers} layers", fix="Choose one of its layers")
    return range(floor, layers + 1)


def histogram(layers: Sequence[int] | np.ndarray, total: int) -> list[int]:
    """How many utterances stopped at each of the layers 1..total: the training exit histogram."""
    return np.bincount(np.asarray(layers, dtype=np.int64), minlength=total + 1)[1:].tolist()


def mean_exit(counts: Sequence[int]) -> float:
    """The mean exit layer of a histogram."""
    return sum(k * count for k, count in enumerate(counts, start=1)) / sum(counts)


def candidate_layers(strategy: str, counts: Sequence[int], q: float) -> tuple[int, ...]:
    """Candidate layers for inference, from the training exit histogram.

    Args:
        strategy: ``avg``: floor and ceil of the mean exit layer. ``min-max``: every layer from the
            smallest to the largest that occurred. ``threshold``: layers with a share above `q`; the most
            frequent layer if none has (`falls_back` tells).
        counts: Utterances that stopped at layers 1..K.
        q: The share for ``threshold`` (published: 0.2 for ASR, 0.15 for the other tasks).

    Raises:
        DaisyError: if the histogram is empty or the strategy unknown.
    """
    if sum(counts) <= 0:
        raise DaisyError("the training exit histogram is empty", fix="Train the downstream model again")
    if strategy == "avg":
        mean = mean_exit(counts)
        return tuple(sorted({math.floor(mean), math.ceil(mean)}))
    if strategy == "min-max":
        occurred = [k for k, count in enumerate(counts, start=1) if count > 0]
        return tuple(range(occurred[0], occurred[-1] + 1))
    if strategy == "threshold":
        passing = tuple(k for k, count in enumerate(counts, start=1) if count / sum(counts) > q)
        return passing or (int(np.argmax(counts)) + 1,)
    raise DaisyError(f"the strategy {strategy!r} is unknown", fix=f"Use {', '.join(STRATEGIES)}")


def falls_back(strategy: str, counts: Sequence[int], q: float) -> bool:
    """Whether ``threshold`` found no layer above `q`, so that the most frequent layer stands in."""
    return strategy == "threshold" and max(counts) / sum(counts) <= q


def threshold_for(
    rule: str, task: str, rho: float, mean_entropy: Sequence[float], absolute: Mapping[str, float]
) -> float:
    """The threshold of a task.

    Args:
        rule: ``midrange``, or ``absolute`` for `absolute[task] * rho`, as the published code scales it.
        task: The task's name.
        rho: The scale.
        mean_entropy: E_bar_k for k = 1..K, in nats.
        absolute: A threshold in nats per task.

    Raises:
        DaisyError: if `absolute` lacks the task or the rule is unknown.
    """
    if rule == "midrange":
        return midrange(mean_entropy, rho)
    if rule != "absolute":
        raise DaisyError(f"the threshold rule {rule!r} is unknown", fix="Use midrange or absolute")
    if task not in absolute:
        raise DaisyError(f"no absolute threshold for the task {task}", fix=f"Set thresholds.absolute.{task}")
    return rho * absolute[task]
