"""Random numbers that depend on a seed and a name, and on nothing else: not on order, shards or workers."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the thing that `names` name, under the config's `seed`."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
