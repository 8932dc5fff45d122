"""Hidden states of a split that are kept on the disk, as `daisy.features.states` writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daisy.errors import DaisyError


@dataclasses.dataclass(frozen=True)
class Features:
    """The hidden states of one split, as a downstream model sees them.

    Attributes:
        states: (frames, K + 1, D), utterance after utterance; memory-mapped.
        frames: (utterances,) frames of each; all 1 if pooled.
    """

    states: np.ndarray
    frames: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", np.cumsum(self.frames))

    def __len__(self) -> int:
        return len(self.frames)

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
    """Read the states that are kept of a split; `path` is the file of states, beside which the frames are.

    Raises:
        DaisyError: if a file is missing or damaged.
    """
    try:
        states = np.load(path, mmap_mode="r", allow_pickle=False)
        frames = np.load(path.with_name("frames.npy"), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DaisyError(f"no hidden states ({error})", file=path, fix="Run the stage of states again") from None
    if int(frames.sum()) != len(states):
        raise DaisyError(
            f"{len(states)} frames, but frames.npy counts {frames.sum()}",
            file=path,
            fix="Delete the file and run the stage of states again",
        )
    return Features(states, frames)
