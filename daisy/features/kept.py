"""Hidden states of a split that are kept on the disk, as `daisy.features.states` writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daisy.common.spent import note
from daisy.common.transfer import CPU, Sent, buffer
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

    @property
    def device(self) -> torch.device:
        """Where states are that are asked for without one."""
        return CPU

    def batch(self, indices: Sequence[int], layers: int) -> list[Tensor]:
        """(T, layers + 1, D) float32 of some utterances."""
        return [self.utterance(index, layers) for index in indices]

    def utterance(self, index: int, layers: int) -> Tensor:
        """(T, layers + 1, D) float32: the states 0 to `layers` of one utterance."""
        part = self._part(index, layers)
        return torch.from_numpy(np.array(part, dtype=np.float32))  # a copy: the file is mapped read-only

    def _part(self, index: int, layers: int) -> np.ndarray:
        end = int(self._ends[index])  # type: ignore[attr-defined]
        return self.states[end - int(self.frames[index]) : end, : layers + 1]

    def read(self, indices: Sequence[int], layers: int, device: torch.device = CPU) -> Any:
        """What `padded` needs of the disk; any thread may read.

        Args:
            indices: The utterances.
            layers: The last state that is wanted.
            device: Where they will be wanted. To a GPU they go as they are stored, since that is less.
        """
        parts = [self._part(index, layers) for index in indices]
        kind = torch.from_numpy(np.empty(0, self.states.dtype)).dtype if device.type == "cuda" else torch.float32
        rows = buffer((len(parts), max(map(len, parts)), *parts[0].shape[1:]), kind, device)
        for row, part in zip(rows.numpy(), parts, strict=True):
            row[: len(part)] = part
            row[len(part) :] = 0
        return Sent([rows], device)

    def padded(self, read: Any) -> Tensor:
        """(B, T, layers + 1, D) float32 of what was read, on its device; zero behind an utterance's end."""
        (states,) = read.arrived()
        return states.float()


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
    features = Features(states, frames)
    note("model", list(features.shape))
    return features
