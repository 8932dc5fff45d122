"""What files hold, as digests: inputs are told apart by content, not by name or time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from daisy.common.files import write_text
from daisy.errors import DaisyError


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; of a folder, that of its files' names and digests."""
    if path.is_dir():
        lines = [f"{file.name} {digest(file)}\n" for file in sorted(path.iterdir()) if file.is_file()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Contents:
    """Digests of outside files, remembered by size and time so that a large one is read once.

    Args:
        path: The JSON file that remembers; it only saves time and may be deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[Any]] = {}
        if path.exists():
            try:
                self._known = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                self._known = {}

    def digest(self, path: Path) -> str:
        """The digest of a file, or those of a folder's files by name.

        Raises:
            DaisyError: if there is nothing at `path`, or it cannot be read.
        """
        try:
            files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
            return " ".join(self._of_file(item) for item in files)
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise DaisyError(problem, file=path, fix="Correct the path in the config") from None

    def _of_file(self, path: Path) -> str:
        status = path.stat()
        name, state = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        known = self._known.get(name)
        if known is None or known[:2] != state:
            known = [*state, digest(path)]
            self._known[name] = known
            write_text(self._path, json.dumps(self._known, indent=0, sort_keys=True))
        return str(known[2])
