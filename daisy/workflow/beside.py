"""What follows from a source file and takes long to find out, kept beside its bytecode for the next process."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def kept(file: Path, text: bytes, maker: str, make: Callable[[], Any]) -> Any:
    """What `make` says of a source file; asked for once, as long as neither the file nor who says it changes.

    Args:
        file: The source file.
        text: Its content.
        maker: The file of the code that `make` runs.
        make: Returns a JSON value that follows from the content, this Python and the maker alone.
    """
    place = Path(importlib.util.cache_from_source(str(file))).with_suffix(".json")
    key = hashlib.sha256(_version(maker) + text).hexdigest()
    # Without the right to read or write there, or after a crash that left half a file, it is found out again.
    with contextlib.suppress(OSError, ValueError):
        known, value = json.loads(place.read_text())
        if known == key:
            return value
    value = make()
    with contextlib.suppress(OSError):
        _write(place, json.dumps([key, value]))
    return value


@functools.cache
def _version(maker: str) -> bytes:
    return sys.version.encode() + Path(maker).read_bytes()


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=place.stem)
    with open(handle, "w") as temporary:
        temporary.write(text)
    os.replace(name, place)
