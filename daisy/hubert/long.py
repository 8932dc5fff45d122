"""Long recordings on their way to the first layer: in stretches, and the same as whole but for rounding.

A frame sees 25 ms of samples in the front end, whose norm over time gets the statistics of the whole recording
beforehand, and two seconds of frames in the positional convolution. So a stretch needs no more than that of what is
around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from daisy.common.audio import SAMPLE_RATE
from daisy.common.progress import Progress
from daisy.errors import DaisyError
from daisy.hubert.packing import Frames, Packing, Windowed
from daisy.hubert.windows import Window

if TYPE_CHECKING:
    from daisy.hubert.encoder import Hubert, Padding


def front_end(
    encoder: Hubert, waves: Sequence[Tensor], windows: Sequence[Sequence[Window]], padding: Padding, last: int
) -> Frames:
    """State 0 of a batch that has long recordings: every window's frames.

    Args:
        encoder: The model.
        waves: One (N,) per utterance, normalised if the model wants that.
        windows: Of each utterance.
        padding: How a batch of several lengths is to be computed.
        last: The last layer that may be wanted, for the progress.

    Raises:
        DaisyError: if the padding is not exact: the other kinds are for comparisons with code that cuts nothing.
    """
    seconds = max(map(len, waves)) / SAMPLE_RATE
    if padding != "exact":
        raise DaisyError(
            f"padding={padding!r} computes recordings whole, and one of {seconds:,.0f} s is longer than a window",
            fix='Use padding="exact", or window=math.inf, with which time and memory grow with the square',
        )
    count = sum(map(len, windows))
    label = f"{sum(map(len, waves)) / SAMPLE_RATE:,.0f} s of audio in {count} windows"
    progress = Progress(label, count * (1 + last), "windows of layers", inner=True)
    packing = Windowed(windows, waves[0].device, progress)
    return Frames(
        packing.spread([_state(encoder, *one, progress) for one in zip(waves, windows, strict=True)]), packing
    )


def _state(encoder: Hubert, wave: Tensor, windows: Sequence[Window], progress: Progress) -> Tensor:
    """(T, D): state 0 of one recording."""
    config = encoder.config
    if len(windows) == 1:  # with all samples, which its norm counts, those behind the last frame, too
        progress.add()
        return encoder.projected(encoder.feature_extractor.one(wave))
    extractor, parts = encoder.feature_extractor.fixed(wave), []
    for one in windows:
        samples = wave[one.begin * config.hop : (one.end - 1) * config.hop + config.receptive_field]
        parts.append(encoder.projected(extractor.one(samples)))
        progress.add()
    return torch.cat(parts)


def before_layers(encoder: Hubert, frames: Frames, packing: Windowed) -> Tensor:
    """(R, D): every window's input of layer 1, of state 0 with the positions that the whole recording has."""
    seen = encoder.config.pos_depth * encoder.config.pos_kernel
    parts = []
    for states, windows in zip(frames.split(), packing.windows, strict=True):
        for one in windows:
            begin = max(0, one.start - seen)
            part = states[begin : one.start + one.size + seen]
            near = Frames(part, Packing([len(part)], part.device))
            parts.append(encoder.before_layers(near)[one.start - begin :][: one.size])
    return torch.cat(parts)
