"""Where long recordings are cut: into overlapping windows, so that time grows with the length and not with its square.

Attention is all of a model that looks further than two seconds. So a long recording passes the front end and the
positions as a whole, in stretches, and from there on the layers window by window; where two windows overlap, each
counts up to the middle (`daisy.hubert.long`, `daisy.hubert.packing.Windowed`).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import NamedTuple

from daisy.common.audio import SAMPLE_RATE
from daisy.errors import DaisyError

LONGEST = 150.0
"""Seconds up to which a recording is computed whole. None of the paper's corpora reaches it: LibriSpeech's longest
recording has 35 s, VoxCeleb1's 145 s."""

OVERLAP = 0.1
"""The share of a window that the next one has, too, at least."""

SHORTEST = 1.0
"""Seconds: in shorter windows attention would see too little to be of any use."""


class Window(NamedTuple):
    """Frames of a recording that attend to one another.

    Attributes:
        start: The first of them.
        size: How many they are.
        begin: The first of those that are taken from this window.
        end: Behind the last of these.
    """

    start: int
    size: int
    begin: int
    end: int


@dataclasses.dataclass(frozen=True)
class Windows:
    """How long recordings are cut.

    Attributes:
        seconds: A window's length. Recordings up to it are computed whole; all are if it is infinite.
        overlap: The share of a window that the next one has, too, at least.

    Raises:
        DaisyError: if no recording can be cut so.
    """

    seconds: float = LONGEST
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        if not isinstance(self.seconds, int | float) or isinstance(self.seconds, bool) or not self.seconds >= SHORTEST:
            raise DaisyError(f"a window of {self.seconds!r} s", fix=f"Give it {SHORTEST:g} s at least, or infinity")

    def of(self, frames: int, hop: int) -> list[Window]:
        """The windows of a recording, all of one size and equally far apart.

        Args:
            frames: Its frames.
            hop: Samples from one to the next.
        """
        if frames * hop <= self.seconds * SAMPLE_RATE:
            return [Window(0, frames, 0, frames)]
        size = max(1, int(self.seconds * SAMPLE_RATE / hop))
        count = 1 + math.ceil((frames - size) / max(1, size - int(size * self.overlap)))
        starts = [place * (frames - size) // (count - 1) for place in range(count)]
        joins = [(left + size + right) // 2 for left, right in itertools.pairwise(starts)]
        bounds = itertools.pairwise([0, *joins, frames])
        return [Window(start, size, *bound) for start, bound in zip(starts, bounds, strict=True)]
