"""Features of a split, as `daisy.features.states` writes them and everything after reads them.

The states of a split are kept on the disk, or else streamed: made again from the recordings whenever they are asked
for, by `daisy.features.streamed`. Frames and entropies are always kept.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from daisy.errors import DaisyError


def normalise(states: Tensor) -> Tensor:
    """Layer-normalise hidden states (..., D) over D, without affine parameters."""
    return F.layer_norm(states, states.shape[-1:])


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of one split.

    Attributes:
        states: (frames, K + 1, D), layer-normalised, utterance after utterance; memory-mapped. Without a frame if
            they are streamed.
        frames: (utterances,) frames of each; all 1 if pooled.
        entropies: (utterances, K) E_k in nats.
    """

    states: np.ndarray
    frames: np.ndarray
    entropies: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", np.cumsum(self.frames))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def kept(self) -> bool:
        """Whether the states are on the disk."""
        return len(self.states) > 0

    @property
    def shape(self) -> tuple[int, int]:
        """K and D."""
        return self.states.shape[1] - 1, self.states.shape[2]

    def batch(self, indices: Sequence[int], layers: int) -> list[Tensor]:
        """(T, layers + 1, D) float32 of some utterances."""
        return [self.utterance(index, layers) for index in indices]

    def utterance(self, index: int, layers: int) -> Tensor:
        """(T, layers + 1, D) float32: the states 0 to `layers` of one utterance."""
        end = int(self._ends[index])  # type: ignore[attr-defined]
        part = self.states[end - int(self.frames[index]) : end, : layers + 1]
        return torch.from_numpy(np.array(part, dtype=np.float32))  # a copy: the file is mapped read-only


def load_features(path: Path) -> Features:
    """Read a split's features; `path` is the ``.npy`` file.

    Raises:
        DaisyError: if a file is missing or damaged.
    """
    try:
        states = np.load(path, mmap_mode="r", allow_pickle=False)
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
            features = Features(states, file["frames"], file["entropies"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DaisyError(f"no features ({error})", file=path, fix="Run the feature stage again") from None
    if features.kept and int(features.frames.sum()) != len(states):
        raise DaisyError(
            f"{len(states)} frames, but its table counts {features.frames.sum()}",
            file=path,
            fix="Delete the file and run the feature stage again",
        )
    return features
