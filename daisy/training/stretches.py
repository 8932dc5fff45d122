"""The part of a long recording that a step learns from, so that what a step needs of memory has a bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from daisy.common.seeds import generator
from daisy.corpora.utterances import Manifest
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

    def of_parts(
        self, frames: Mapping[int, int], step: int, parts: Sequence[Sequence[int]]
    ) -> list[tuple[float, dict[int, slice]]]:
        """The stretches of some parts of a step's batch, each with its share of what the step learns from.

        Args:
            frames: Those of every recording of the batch, by its place in the manifest.
            step: The step.
            parts: Recordings of the batch; a process that works beside others has not all of them.
        """
        own = {index: self.of(count, step, index) for index, count in frames.items()}
        total = length(own.values())
        return [(length(own[i] for i in part) / total, {i: own[i] for i in part}) for part in parts]

    def waves(self, manifest: Manifest, own: Mapping[int, slice]) -> list[Tensor]:
        """Of every recording the samples that its own frames see; the recording itself if these are all."""
        return [self._cut(manifest.wave(index), frames) for index, frames in own.items()]

    def _cut(self, wave: Tensor, own: slice) -> Tensor:
        if own.stop - own.start == self.config.frames(len(wave)):
            return wave
        return wave[own.start * self.config.hop : (own.stop - 1) * self.config.hop + self.config.receptive_field]


def length(stretches: Iterable[slice]) -> int:
    """How many frames stretches have in all."""
    return sum(own.stop - own.start for own in stretches)
