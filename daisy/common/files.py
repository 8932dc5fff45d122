"""Writing files so that a crash never leaves half of one, and reading small tables back."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError, WriteError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` once the block ends without an error.

    The data are flushed to the disk before the rename, so that after a power cut the file is either
    the old one or the whole new one. After an error the temporary file is removed.

    Raises:
        WriteError: if the disk is full, or nothing can be written there.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as error:
        raise unwritable(path, error) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        # Libraries report a full disk in ways of their own; that nothing is free tells it from other faults.
        full = getattr(error, "errno", None) in NO_SPACE or shutil.disk_usage(path.parent).free < _LEAST_FREE
        temporary.unlink(missing_ok=True)
        if full and isinstance(error, Exception):
            raise disk_full(path) from error
        raise


def endless(path: Path) -> bool:
    """Whether it is a pipe or a device, of which nobody knows when it ends; what is not there is neither."""
    return path.exists() and not path.is_file() and not path.is_dir()


def remove_remains(folder: Path, *names: str) -> None:
    """Remove from a folder the temporary files that calls of `atomic` left there when they were killed.

    Args:
        folder: Where they may lie; nothing else may be writing there.
        names: Of the files that were to be written, such as ``index.csv``; ``*`` stands for anything.
    """
    for name in map(Path, names):
        for left in folder.glob(f".{name.stem}-????????{name.suffix}"):
            left.unlink(missing_ok=True)


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when a disk, or one's share of it, is full."""

_LEAST_FREE = 64 * 1024


def unwritable(path: Path, error: OSError) -> WriteError:
    """The error for a place in which nothing can be written."""
    if error.errno in NO_SPACE:
        return disk_full(path)
    return WriteError(f"it cannot be written ({error.strerror or error})", file=path, fix="Choose another place")


def disk_full(path: Path) -> WriteError:
    """The error for a full disk."""
    return WriteError(
        "the disk is full", file=path, fix="Free some space and run again; what was finished before is kept"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file that an earlier stage wrote.

    Raises:
        DaisyError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DaisyError("the file does not exist", file=path, fix="Run the stage that makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DaisyError(f"not valid JSON ({error})", file=path, fix="Delete the file and run again") from None


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as CSV with the columns of `header`, atomically. None becomes an empty cell."""
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | Path, *, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read a CSV file into one dict per row.

    Raises:
        DaisyError: if the file is missing or lacks one of `columns`.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise DaisyError(
                    f"the column {missing[0]!r} is missing", file=path, fix="Delete the file and run again"
                )
            return list(reader)
    except FileNotFoundError:
        raise DaisyError("the file does not exist", file=path, fix="Run the stage that makes it") from None
