"""Grouping utterances of similar length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

from daisy.audio import SAMPLE_RATE


def batches(samples: Sequence[int], seconds: float) -> list[list[int]]:
    """Divide utterances into batches whose padded size is at most `seconds` of audio, or one utterance.

    Args:
        samples: Length of each utterance in samples.
        seconds: The bound on (longest utterance) x (utterances).

    Returns:
        Indices, the longest utterances first, so that the largest need of memory shows at once.
    """
    result: list[list[int]] = []
    bound = seconds * SAMPLE_RATE
    for index in sorted(range(len(samples)), key=lambda index: (-samples[index], index)):
        if result and samples[result[-1][0]] * (len(result[-1]) + 1) <= bound:
            result[-1].append(index)
        else:
            result.append([index])
    return result
