"""Measured entropies of a split, as `daisy.features.entropies` writes them."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

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


def load_measured(path: Path, recordings: int | None = None) -> Measured:
    """Read the entropies of a split; `recordings` is how many there must be, where that is known.

    Raises:
        DaisyError: if the file is missing or damaged, or of another manifest.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Measured(file["entropies"], file["frames"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DaisyError(f"no entropies ({error})", file=path, fix="Run the stage of entropies again") from None
    if recordings is not None and len(found.entropies) != recordings:
        raise DaisyError(
            f"entropies of {len(found.entropies)} utterances for {recordings} recordings",
            file=path,
            fix="Run the stage of entropies again",
        )
    return found
