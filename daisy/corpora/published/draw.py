"""MiniSUPERB's draw of a part of a corpus."""

from __future__ import annotations

import random
from collections.abc import Sequence


def drawn(ids: Sequence[str], count: int, seed: int) -> set[str]:
    """`count` of `ids`, as MiniSUPERB's scripts `subsample.py` draw them; all of them for 0.

    Python's own generator, shuffling the sorted ids: so that the same recordings are drawn, not merely as many.
    """
    order = sorted(ids)
    random.Random(seed).shuffle(order)
    return set(order[:count] if count else order)
