"""The file of centroids that k-means writes and labelling reads, with where they are from."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from daisy.common.files import atomic
from daisy.errors import DaisyError


def write_centroids(path: Path, centroids: np.ndarray, **about: Any) -> None:
    """Write centroids (C, D) and single values about them (``.npz``)."""
    with atomic(path) as temporary:
        np.savez(temporary, centroids=centroids, **about)


def read_centroids(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read centroids (C, D) and what is told about them.

    Raises:
        DaisyError: if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["centroids"], {key: file[key].item() for key in file.files if key != "centroids"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DaisyError(f"no centroids ({error})", file=path, fix="Run the k-means stage again") from None
