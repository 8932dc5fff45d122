"""The table that describes a prepared corpus: one row per recording, beside the audio folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from daisy.common.files import read_csv, write_csv
from daisy.errors import DaisyError

MUSIC = "music"
"""The `kind` of what nobody speaks in."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """One recording of a corpus.

    Attributes:
        id: Unique in the corpus, and the audio file's path under ``audio/`` without its ending.
        samples: Length in samples at 16 kHz.
        speaker: Who speaks; for music, the piece.
        text: What is said, in lower case; empty where nobody knows.
        split: ``train``, ``dev`` or ``test`` where the corpus fixes it; otherwise empty.
        source: Where the recording is from.
        references: For a mixture, what it was mixed from: files under ``audio/``, separated by semicolons.
        file: The audio file under ``audio/``, where it is not ``<id>.flac``.
        kind: ``music`` for a piece of music; anything else is speech.
    """

    id: str
    samples: int
    speaker: str
    text: str = ""
    split: str = ""
    source: str = ""
    references: str = ""
    file: str = ""
    kind: str = ""

    @property
    def speech(self) -> bool:
        """Whether somebody speaks."""
        return self.kind != MUSIC

    @property
    def path(self) -> str:
        """The audio file under ``audio/``."""
        return self.file or f"{self.id}.flac"


OPTIONAL = ("references", "file", "kind")
"""Columns of those tables alone that need them."""

COLUMNS = tuple(field.name for field in dataclasses.fields(Recording) if field.name not in OPTIONAL)
"""Columns of every table."""


def write_table(path: Path, recordings: Sequence[Recording]) -> None:
    """Write `recordings`, sorted by id."""
    header = (*COLUMNS, *(name for name in OPTIONAL if any(getattr(item, name) for item in recordings)))
    ordered = sorted(recordings, key=lambda item: item.id)
    write_csv(path, header, [{name: getattr(item, name) for name in header} for item in ordered])


def read_table(path: Path) -> list[Recording]:
    """Read a table that `write_table` wrote.

    Raises:
        DaisyError: if a row is damaged or an id occurs twice.
    """
    recordings = []
    seen: set[str] = set()
    for number, row in enumerate(read_csv(path, columns=COLUMNS), start=2):
        if row["id"] in seen or not row["samples"].isdigit():
            raise DaisyError(f"line {number} is damaged: {row}", file=path, fix="Delete the file and run again")
        seen.add(row["id"])
        known = {name: row[name] or "" for name in (*COLUMNS, *OPTIONAL) if name in row and name != "samples"}
        recordings.append(Recording(samples=int(row["samples"]), **known))
    return recordings
