"""States made again from the recordings whenever they are asked for, in place of a copy on the disk.

A state of HuBERT Base takes 70 times its audio. Where there is no room for that, training and evaluation run the
frozen model instead; a batch runs no deeper than its latest exit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.features.kept import Features, load_features, normalise
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.every_layer import every_layer


@dataclasses.dataclass(frozen=True)
class Streamed(Features):
    """Features whose states come from the model.

    Attributes:
        model: The frozen HuBERT that made the entropies.
        manifest: The recordings.
    """

    model: Checkpoint
    manifest: Manifest

    def batch(self, indices: Sequence[int], layers: int) -> list[Tensor]:
        """(T, layers + 1, D) float32 of some utterances."""
        waves = [self.manifest.wave(index).to(self.model.device) for index in indices]
        runs = every_layer(self.model.encoder, None, self.model.position, waves, layers)
        return [
            self._pooled(index, normalise(item.states)).transpose(0, 1)
            for index, item in zip(indices, runs, strict=True)
        ]

    def _pooled(self, index: int, states: Tensor) -> Tensor:
        return states if states.shape[1] == self.frames[index] else states.mean(1, keepdim=True)

    def utterance(self, index: int, layers: int) -> Tensor:
        """(T, layers + 1, D) float32 of one utterance."""
        return self.batch([index], layers)[0]


def open_features(path: Path, manifest: Manifest, model: Checkpoint | None) -> Features:
    """Read a split's features, or let the model make the states if none are kept.

    Args:
        path: The ``.npy`` file.
        manifest: The split's recordings, as many as there are features of.
        model: The model that the entropies are from; not needed where states are kept.

    Raises:
        DaisyError: if a file is missing or damaged, or the model is needed and not there, or is another one.
    """
    features = load_features(path)
    if features.kept:
        return features
    if model is None:
        raise DaisyError("these states are streamed, which needs the model", file=path, fix="Pass --upstream")
    shape = model.encoder.config.layers, model.encoder.config.dim
    if shape != features.shape:
        problem = f"features of (layers, width) {features.shape}, but the model has {shape}"
        raise DaisyError(problem, file=path, fix="Run the feature stage again")
    return Streamed(features.states, features.frames, features.entropies, model, manifest)
