"""Files of named arrays (``.npz``): written whole or not at all, and read with one error for all that is wrong."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from daisy.common.files import atomic
from daisy.errors import DaisyError


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays, or single values, under their names."""
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def arrays_in(path: Path, what: str, fix: str) -> Iterator[Any]:
    """The arrays of a file by their names, while it is read and looked at.

    Args:
        path: The file.
        what: What it holds, for people.
        fix: What to do if it does not.

    Raises:
        DaisyError: if the file is missing or damaged, or lacks what is asked for, or who reads it finds it wrong and
            says so by a ValueError.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DaisyError(f"no {what} ({error})", file=path, fix=fix) from None
