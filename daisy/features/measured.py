"""Measured entropies of a split, as `daisy.features.entropies` and trainings of a task's own exits write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from daisy.common.arrays import arrays_in, save_arrays
from daisy.errors import DaisyError


@dataclasses.dataclass(frozen=True)
class Measured:
    """The entropies of one split.

    Attributes:
        entropies: (utterances, K) E_k in nats.
        frames: (utterances,) frames that each is the mean of.
    """

    entropies: np.ndarray
    frames: np.ndarray

    def of_batch(self, indices: Sequence[int]) -> np.ndarray:
        """(K,) the mean over all frames of some utterances, which is their batch's entropy in the published code."""
        weights = self.frames[list(indices)]
        return weights @ self.entropies[list(indices)] / weights.sum()


AGAIN = "Run the stage of entropies again"


def save_measured(path: Path, measured: Measured) -> None:
    """Write the entropies of a split."""
    save_arrays(path, {"entropies": measured.entropies, "frames": measured.frames})


def load_measured(path: Path, recordings: int | None = None, fix: str = AGAIN) -> Measured:
    """Read the entropies of a split.

    Args:
        path: The file.
        recordings: How many there must be, where that is known.
        fix: What to do if they cannot be read.

    Raises:
        DaisyError: if the file is missing or damaged, or of another manifest, or holds what is no number.
    """
    with arrays_in(path, "entropies", fix) as file:
        found = Measured(file["entropies"], file["frames"])
        if found.entropies.ndim != 2 or not found.entropies.size or not np.isfinite(found.entropies).all():
            raise ValueError(f"an array of {found.entropies.shape}, or not all numbers")
    if recordings is not None and len(found.entropies) != recordings:
        raise DaisyError(
            f"entropies of {len(found.entropies)} utterances for {recordings} recordings",
            file=path,
            fix=fix,
        )
    return found


def save_signals(path: Path, signals: Mapping[str, np.ndarray]) -> None:
    """Write (utterances, K) values of every signal of a split."""
    save_arrays(path, signals)


def load_signals(path: Path) -> dict[str, np.ndarray]:
    """Read what `save_signals` wrote.

    Raises:
        DaisyError: if the file is missing or damaged, or holds what is no number.
    """
    with arrays_in(path, "signals", "Run the stage of signals again") as file:
        found = {name: file[name] for name in file.files}
        odd = [name for name, values in found.items() if values.ndim != 2 or not np.isfinite(values).all()]
        if odd or len({values.shape for values in found.values()}) != 1:
            raise ValueError(f"not all are numbers of the same utterances and layers: {', '.join(odd) or 'shapes'}")
    return found
