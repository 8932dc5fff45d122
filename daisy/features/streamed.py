"""States made again from the recordings whenever they are asked for, in place of a copy on the disk.

A state of HuBERT Base takes 70 times its audio. Where there is no room for that, training and evaluation run the
frozen model instead; a batch runs no deeper than its latest exit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daisy.common.transfer import CPU, Sent
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.features.kept import Features, load_features
from daisy.features.seen import seen
from daisy.features.settings import View
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import every_layer


@dataclasses.dataclass(frozen=True)
class Waves:
    """Recordings whose states are wanted.

    Attributes:
        sent: The recordings, each once.
        places: Which of them each utterance of a batch is.
        layers: The last state that is wanted.
    """

    sent: Sent
    places: list[int]
    layers: int


@dataclasses.dataclass(frozen=True)
class Streamed(Features):
    """Features whose states come from the model.

    Attributes:
        encoder: The frozen HuBERT.
        manifest: The recordings.
        view: What a downstream model sees of the states.
    """

    encoder: Hubert
    manifest: Manifest
    view: View

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.encoder.device

    def batch(self, indices: Sequence[int], layers: int) -> list[Tensor]:
        """(T, layers + 1, D) float32 of some utterances."""
        return self._made(self.read(indices, layers, self.device))

    def utterance(self, index: int, layers: int) -> Tensor:
        """(T, layers + 1, D) float32 of one utterance."""
        return self.batch([index], layers)[0]

    def read(self, indices: Sequence[int], layers: int, device: torch.device = CPU) -> Waves:
        """The recordings of some utterances, on their way to the model's device; any thread may read."""
        # An utterance may be wanted at several exits at once.
        unique = list(dict.fromkeys(indices))
        waves = Sent([self.manifest.wave(index) for index in unique], device)
        return Waves(waves, [unique.index(index) for index in indices], layers)

    def padded(self, read: Any) -> Tensor:
        """(B, T, layers + 1, D) float32 of the recordings that were read; zero behind an utterance's end."""
        return nn.utils.rnn.pad_sequence(self._made(read), batch_first=True)

    def _made(self, read: Waves) -> list[Tensor]:
        runs = every_layer(self.encoder, read.sent.arrived(), self.view.states, last=read.layers)
        made = [seen(self.view, item.states) for item in runs]
        return [made[place] for place in read.places]


def stream_features(manifest: Manifest, encoder: Hubert, view: View) -> Streamed:
    """The features of a manifest's recordings, with states that `encoder` makes."""
    config = encoder.config
    frames = [1 if view.pooled else config.frames(item.samples) for item in manifest.utterances]
    none = np.zeros((0, config.layers + 1, config.dim), np.float32)
    return Streamed(none, np.array(frames), encoder, manifest, view)


def open_features(path: Path | None, manifest: Manifest, encoder: Hubert | None, view: View) -> Features:
    """Read the states that are kept of a split, or let the model make them.

    Args:
        path: The file of states; None where none are kept.
        manifest: The split's recordings.
        encoder: The frozen model; not needed where states are kept.
        view: What a downstream model sees of them.

    Raises:
        DaisyError: if a file is missing or damaged, or of another manifest, or there is neither file nor model.
    """
    if path is None:
        if encoder is None:
            raise DaisyError("no states are kept, and no model is there to make them", fix="Pass --checkpoint")
        return stream_features(manifest, encoder, view)
    features = load_features(path)
    if len(features) != len(manifest):
        raise DaisyError(
            f"states of {len(features)} utterances for {len(manifest)} recordings",
            file=path,
            fix="Run the stage of states again",
        )
    return features
