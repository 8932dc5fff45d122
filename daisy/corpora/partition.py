"""Divide a corpus into train, dev and test, the same way for every task that uses it.

Every recording belongs to one part, drawn by seed within each speaker, so that what is tested in one task is
trained on nowhere, not even in the branches or the pre-training.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

from daisy.common.seeds import generator
from daisy.corpora.settings import Splits
from daisy.corpora.table import Recording

PARTS = ("train", "dev", "test")


def partition(recordings: Sequence[Recording], splits: Splits) -> dict[str, list[Recording]]:
    """Divide speech into train, dev and test, speaker by speaker.

    A corpus that fixes its own splits keeps them.
    """
    by_speaker: dict[str, list[Recording]] = collections.defaultdict(list)
    parts: dict[str, list[Recording]] = {part: [] for part in PARTS}
    for recording in sorted(recordings, key=lambda item: item.id):
        if recording.split:
            parts[recording.split].append(recording)
        elif recording.speech:
            by_speaker[recording.speaker].append(recording)
    for speaker, items in sorted(by_speaker.items()):
        order = generator(splits.seed, "partition", speaker).permutation(len(items))
        if splits.max_per_speaker:
            order = order[: splits.max_per_speaker]
        dev = round(len(order) * splits.dev)
        test = round(len(order) * splits.test)
        for place, index in enumerate(order):
            part = "dev" if place < dev else "test" if place < dev + test else "train"
            parts[part].append(items[index])
    return parts
