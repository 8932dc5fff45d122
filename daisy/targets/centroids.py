"""The file of centroids that k-means writes and labelling reads, with where they are from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from daisy.common.arrays import arrays_in, save_arrays


def write_centroids(path: Path, centroids: np.ndarray, **about: Any) -> None:
    """Write centroids (C, D) and single values about them (``.npz``)."""
    save_arrays(path, {"centroids": centroids, **about})


def read_centroids(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read centroids (C, D) and what is told about them.

    Raises:
        DaisyError: if the file is missing or damaged.
    """
    with arrays_in(path, "centroids", "Run the k-means stage again") as file:
        return file["centroids"], {key: file[key].item() for key in file.files if key != "centroids"}
