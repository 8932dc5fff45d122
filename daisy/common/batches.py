"""Grouping utterances of similar length, so that little of a batch is padding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from daisy.common.audio import SAMPLE_RATE
from daisy.common.seeds import generator

WASTE = 0.05
"""The share of a batch of recordings that may be padding, where it is padded."""


def batches(samples: Sequence[int], seconds: float) -> list[list[int]]:
    """Divide recordings into batches whose padded size is at most `seconds` of audio, or one recording.

    Args:
        samples: Length of each recording in samples.
        seconds: The bound on (longest recording) x (recordings).

    Returns:
        Indices, the longest recordings first, so that the largest need of memory shows at once.
    """
    return groups(samples, seconds * SAMPLE_RATE, WASTE)


def seconds_per_step(samples: Sequence[int], seconds: float) -> float:
    """How much audio a step has on average, by the batches of `batches`: less where few recordings fill one."""
    return sum(samples) / SAMPLE_RATE / max(1, len(batches(samples, seconds)))


def endless(samples: Sequence[int], seconds: float, seed: int, name: str) -> Iterator[list[int]]:
    """Batches of recordings without end: every epoch those of `batches`, in an order of its own.

    Args:
        samples: Length of each recording in samples.
        seconds: See `batches`.
        seed: Of the orders.
        name: Of what is trained, which has orders of its own.
    """
    every = batches(samples, seconds)
    for epoch in itertools.count():
        for place in generator(seed, name, epoch).permutation(len(every)):
            yield every[place]


def groups(lengths: Sequence[int], bound: float, waste: float, most: int | None = None) -> list[list[int]]:
    """Divide utterances into batches whose padded size is at most `bound`, or one utterance.

    Args:
        lengths: Of each utterance, in any unit.
        bound: The bound on (longest utterance) x (utterances), in that unit.
        waste: The bound on the share of a batch that is padding.
        most: The bound on the utterances of a batch.

    Returns:
        Indices, the longest utterances first, so that the largest need of memory shows at once.
    """
    result: list[list[int]] = []
    held = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        held += lengths[index]
        count = len(result[-1]) + 1 if result else 0
        size = lengths[result[-1][0]] * count if result else 0
        if result and size <= bound and held >= (1 - waste) * size and count <= (most or count):
            result[-1].append(index)
        else:
            result.append([index])
            held = lengths[index]
    return result
