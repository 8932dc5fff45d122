"""MiniSUPERB's draw of a part of a corpus."""

from __future__ import annotations

import random
from collections.abc import Sequence


def drawn(ids: Sequence[str], count: int, seed: int) -> set[str]:
    """`count` of `ids`, as MiniSUPERB's scripts `subsample.py` draw them; all of them for 0 or more than there are.

    Known: each script seeds Python's own generator once, shuffles the sorted ids of one split and takes the first, so
    that every split's draw begins anew from the seed. Inferred: that its lists `train_1000`, `dev_300`, `train_1400`
    and `dev_1000`, of which the repository holds only the sizes, were all made so, with the scripts' default seeds.

    Args:
        ids: Of one split, in any order.
        count: How many to draw; 0 for all.
        seed: Of the draw.
    """
    order = sorted(ids)
    random.Random(seed).shuffle(order)
    return set(order[:count] if count else order)
