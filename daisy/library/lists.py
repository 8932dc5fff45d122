"""Which recordings a command line means: files, folders, and lists of files as people have them.

A list (``@list.txt``) has a file per line. Empty lines, and those that begin with ``#``, are passed over. What stands
behind a tab is no part of a name, and where line 1 of a list with tabs is a folder, as in fairseq's manifests, names
are below it. UTF-8 is read, with a byte-order mark or without, and UTF-16; other bytes as they stand, since a file's
name is bytes, and where there is no such file, they are Latin-1.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from daisy.common.files import endless
from daisy.errors import DaisyError

ENDINGS = (".wav", ".flac")
"""Of the files that are looked for in folders."""

COMMENT = "#"


def recordings(names: Sequence[str]) -> list[Path]:
    """The files that `names` mean, folders and lists (``@list.txt``) looked through; they need not exist.

    Raises:
        DaisyError: if there are none, one is there twice, or a list or a name cannot be used.
    """
    found: list[Path] = []
    for name in names:
        if name.startswith("@") and not Path(name).exists():
            for path in read_list(Path(name[1:]).expanduser()):
                found += _inside(path)
        elif not name.strip():
            raise DaisyError("the name of a recording is empty", fix="Leave it out")
        else:
            found += _inside(Path(name))
    seen: set[Path] = set()
    for path in found:
        if _strange(str(path)):
            raise DaisyError("its name is no text in UTF-8", file=ascii(str(path)), fix="Rename the file")
        if path.resolve() in seen:
            raise DaisyError("named twice", file=path, fix="Name every recording once")
        seen.add(path.resolve())
    return found


def read_list(file: Path) -> list[Path]:
    """The files and folders that a list names, each of which exists.

    Raises:
        DaisyError: if the list is missing or names nothing, or there is no such file.
    """
    found = list(_entries(file, _lines(file)))
    if not found:
        raise DaisyError("the list names no recording", file=file, fix="Write a file per line")
    return found


def _entries(file: Path, lines: Sequence[str]) -> Iterator[Path]:
    tabs = [line for line in lines if "\t" in line]
    first = next((line for line in lines if line.strip()), "")
    root = Path(first.strip()) if tabs and "\t" not in first and Path(first.strip()).is_dir() else None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (root is not None and line == first):
            continue
        # What a name can be, the plainest first; strange names are names, too, where there is such a file.
        name = line.partition("\t")[0].strip()
        spellings = [line, line.strip(), name, name.strip("'\"")]
        paths = [(root or Path()) / Path(spelling).expanduser() for spelling in spellings if spelling]
        path = next((path for path in (*paths, *map(_as_latin, paths)) if os.path.exists(path)), None)
        if path is not None:
            yield path
        elif not line.lstrip().startswith(COMMENT):
            shown = name.encode("utf-8", "surrogateescape").decode("latin-1") if _strange(name) else name
            raise DaisyError(f"line {number}: there is no {shown}", file=file, fix="Correct the name, or leave it out")


def _lines(file: Path) -> list[str]:
    if endless(file):
        raise DaisyError("the list is a pipe or a device, and no file", file=file, fix="Write it to a file")
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise DaisyError(f"the list cannot be read ({reason})", file=file, fix="Correct its name") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
    else:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise DaisyError("this is no list: it holds bytes of zero", file=file, fix="Give a text with a file per line")
    return [line.rstrip("\r") for line in text.replace("\r\n", "\n").split("\n")]


def _as_latin(path: Path) -> Path:
    return Path(os.fsencode(path).decode("latin-1"))


def _strange(name: str) -> bool:
    """Whether a name has bytes that are no UTF-8, as Python keeps them."""
    return any("\ud800" <= character <= "\udfff" for character in name)


def _below(folder: Path) -> Iterator[Path]:
    """All files in a folder; links to folders are followed, but not round in circles."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in files)


def _inside(path: Path) -> list[Path]:
    """A file, or a folder's files; those that macOS keeps beside them, ``._a.wav``, are none."""
    if not path.is_dir():
        return [path]
    every = sorted(file for file in _below(path) if file.suffix.lower() in ENDINGS and not endless(file))
    inside = [file for file in every if not file.name.startswith("._") and not file.is_dir()]
    if not inside:
        raise DaisyError("no WAV or FLAC file in the folder", file=path, fix="Give another folder")
    return inside
