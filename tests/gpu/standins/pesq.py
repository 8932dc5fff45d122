"""A stand-in for the package pesq, which a machine may lack: a number that falls with the error. It is no PESQ."""

from __future__ import annotations

import numpy as np


class PesqError(Exception):
    """What the package raises."""


def pesq(rate: int, reference: np.ndarray, estimate: np.ndarray, mode: str) -> float:
    """From 1 to 4.64, as the package's values are, by the logarithm of the error's share."""
    error = np.square(estimate - reference).sum() / np.square(reference).sum()
    return float(np.clip(2.5 - np.log10(error + 1e-9), 1.0, 4.64))
