"""The candidate layers of inference: how they follow from where the training utterances stopped.

Training itself knows no strategy: there, every layer is a candidate (`daisy.exits.rule`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from daisy.errors import DaisyError

STRATEGIES = ("avg", "min-max", "threshold")
"""How candidate layers follow from the training exit histogram (paper, section 2.3)."""


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
