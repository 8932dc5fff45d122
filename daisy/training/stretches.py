"""The part of a long recording that a step learns from, so that what a step needs of memory has a bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from torch import Tensor

from daisy.common.seeds import generator
from daisy.hubert.config import HubertConfig
from daisy.hubert.windows import Windows


@dataclasses.dataclass(frozen=True)
class Stretches:
    """Draws them.

    Attributes:
        config: The model's shape.
        seed: The training's seed.
    """

    config: HubertConfig
    seed: int

    def of(self, frames: int, step: int, index: int) -> slice:
        """The frames of a recording that a step learns from: all of them, or of a long one as many as a window has.

        Args:
            frames: Those of the recording.
            step: The step; which frames they are is drawn anew in every one.
            index: The recording's place in the manifest.
        """
        size = Windows().of(frames, self.config.hop)[0].size
        begin = 0 if size == frames else int(generator(self.seed, "stretch", step, index).integers(frames - size + 1))
        return slice(begin, begin + size)

    def cut(self, wave: Tensor, own: slice) -> Tensor:
        """The samples that the frames `own` of a recording see; the recording itself if these are all."""
        if own.stop - own.start == self.config.frames(len(wave)):
            return wave
        return wave[own.start * self.config.hop : (own.stop - 1) * self.config.hop + self.config.receptive_field]


def length(stretches: Iterable[slice]) -> int:
    """How many frames stretches have in all."""
    return sum(own.stop - own.start for own in stretches)
