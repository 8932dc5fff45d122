"""What every layout of a corpus comes down to: entries, each a recording or a stretch of one."""

from __future__ import annotations

import dataclasses
import math
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from daisy.corpora.faults import Fault, Notes

ENDINGS = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aiff", ".aif", ".aifc", ".au", ".snd"),
    *(".w64", ".rf64", ".bwf", ".caf", ".sph", ".nist", ".voc", ".avr", ".htk"),
)
"""Names of audio files that libsndfile reads."""

ELSEWHERE = (".m4a", ".mp4", ".aac", ".wma", ".amr", ".webm", ".mka", ".3gp", ".ra", ".ape", ".g722")
"""Names of audio files that it does not."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A recording, or a stretch of one.

    Attributes:
        path: The file.
        name: What its id is made of: a name that its table gives it, or its path without the ending.
        text: What is said.
        speaker: Who speaks; None where no table tells.
        split: ``train``, ``dev``, ``test`` or empty; None where no table tells.
        start: Where it begins, in seconds.
        end: Where it ends, in seconds; None for the end of the file.
        channel: The only channel that counts; None for the mean of all.
    """

    path: Path
    name: str
    text: str = ""
    speaker: str | None = None
    split: str | None = None
    start: float = 0.0
    end: float | None = None
    channel: int | None = None


@dataclasses.dataclass
class Found:
    """What a folder holds.

    Attributes:
        layout: How the recordings are told of, in words.
        entries: The recordings.
        faults: What cannot be understood, or is not there.
        notes: What is left out, or taken otherwise than written.
    """

    layout: str
    entries: list[Entry] = dataclasses.field(default_factory=list)
    faults: list[Fault] = dataclasses.field(default_factory=list)
    notes: Notes = dataclasses.field(default_factory=Notes)


class Folder:
    """The files below a folder, hidden ones left out.

    Args:
        root: The folder.
        without: A folder below it that does not count, such as the one that is written.
    """

    def __init__(self, root: Path, without: Path | None = None) -> None:
        self.root = root
        self.files: list[Path] = []
        self._audio: dict[str, list[Path]] = {}
        seen: set[str] = set()
        skipped = os.path.realpath(without) if without else None
        for place, folders, files in os.walk(root, followlinks=True):
            real = os.path.realpath(place)
            if real in seen or real == skipped:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
            self.files += [Path(place, name) for name in sorted(files) if not name.startswith(".")]
        self.audio = [path for path in self.files if path.suffix.lower() in ENDINGS]
        for path in self.audio:
            for key in (same(path.name), same(path.stem)):
                self._audio.setdefault(key, []).append(path)

    def named(self, *names: str) -> list[Path]:
        """The files of these names, in any folder."""
        return [path for path in self.files if path.name in names]

    def ending(self, *endings: str) -> list[Path]:
        """The files whose names end so."""
        return [path for path in self.files if path.name.lower().endswith(endings)]

    def inside(self, path: Path) -> str:
        """A path as it is below the folder, or whole."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def find(self, name: str, beside: Path) -> Path | None:
        """The audio file that a table means, wherever it was when the table was written.

        Args:
            name: A path, a name, or a name without its ending.
            beside: The folder of the table.

        Returns:
            The file; None if there is none, or several could be meant.
        """
        given = name.strip().replace("\\", "/")
        places = (beside / given, self.root / given) if given else ()  # an absolute path stays as it is
        for path in places:
            if path.is_file():
                return path
        parts = [same(part) for part in given.split("/") if part not in ("", ".")]
        candidates = self._audio.get(parts[-1], []) if parts else []
        # The corpus may have been moved: the more of the path agrees, the better.
        for count in range(len(parts), 0, -1):
            fits = [path for path in candidates if _ends(path, parts[-count:])]
            if len(fits) == 1:
                return fits[0]
            if len(fits) > 1:
                return None
        return None


def _ends(path: Path, parts: list[str]) -> bool:
    own = [same(part) for part in path.parts[-len(parts) :]]
    return own[:-1] == parts[:-1] and parts[-1] in (own[-1], same(path.stem))


def same(name: str) -> str:
    """A name as it compares: accents in one piece."""
    return unicodedata.normalize("NFC", name)


def finite(given: Any) -> float:
    """A number of seconds.

    Raises:
        ValueError: if it is no number, or NaN or infinity.
        TypeError: if it is nothing that a number can be made of.
    """
    number = float(given)
    if not math.isfinite(number):
        raise ValueError(given)
    return number


def absent(found: Found, names: Iterable[str], table: str) -> None:
    """Note the files that a table names and that are not there."""
    for name in names:
        fix = "Restore the file, correct its name, or remove what names it"
        found.faults.append(
            Fault(f"missing {table}", name, f"{table}: there is no audio file {name!r}, or several", fix)
        )
