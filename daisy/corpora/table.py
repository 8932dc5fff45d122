"""The table that describes a prepared corpus: one row per recording, beside the audio folder."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from daisy.common.files import write_csv
from daisy.corpora.faults import Fault, Notes, grouped
from daisy.corpora.spreadsheet import Sheet, plain, read_sheet, split_of
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


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        recordings: One per row; `samples` is 0 where the table does not say it.
        faults: What keeps it from being used.
        notes: What is read otherwise than it is written.
    """

    recordings: list[Recording]
    faults: list[Fault]
    notes: Notes


def read_table(path: Path) -> list[Recording]:
    """Read a table of a prepared corpus, whether `write_table` or a person wrote it.

    Raises:
        DaisyError: if a row is damaged, lacks its length, or has the id of another.
    """
    table = read_rows(path)
    uncounted = [item.id for item in table.recordings if not item.samples]
    faults = table.faults + [Fault("samples", name, f"{name} has no samples", COUNT) for name in uncounted]
    for first, problem in grouped(faults):
        raise DaisyError(problem, file=path, fix=first.fix)
    return table.recordings


COUNT = "Write the number of samples at 16 kHz"


def read_rows(path: Path) -> Table:
    """Read a table that anybody wrote; see `daisy.corpora.spreadsheet` for what is understood.

    Raises:
        DaisyError: if it is no table at all.
    """
    sheet = read_sheet(path)
    if "id" not in sheet.header:
        raise DaisyError(
            f"the header lacks the column 'id': {', '.join(sheet.header) or 'there is none'}",
            file=path,
            fix=f"Begin the file with the line {','.join(COLUMNS)}",
        )
    table = Table([], [], Notes())
    for note in sheet.notes:
        table.notes.add(note)
    known = {field.name for field in dataclasses.fields(Recording)}
    if unused := [repr(name) for name in sheet.header if name not in known]:
        table.notes.add(f"the columns {', '.join(unused)} are not used")
    seen: dict[str, int] = {}
    for number, cells in sheet.rows:
        try:
            recording = _recording(sheet, number, cells, table.notes)
            if recording.id in seen:
                raise _Damaged(number, "id", recording.id, f"is the id of row {seen[recording.id]} too", UNIQUE)
        except _Damaged as damage:
            table.faults.append(damage.fault)
            continue
        seen[recording.id] = number
        table.recordings.append(recording)
    return table


UNIQUE = "Give every recording an id of its own"
_REQUIRED = ("id", "samples", "speaker")
"""Columns that a row cannot end before, if the table has them."""


class _Damaged(Exception):
    """A row that cannot be read in one way alone."""

    def __init__(self, row: int, column: str, value: str, problem: str, fix: str) -> None:
        self.fault = Fault(f"{column} {fix}", f"row {row}", f"row {row}, column {column}: {value!r} {problem}", fix)


def _recording(sheet: Sheet, number: int, cells: list[str], notes: Notes) -> Recording:
    """One row as a recording.

    Raises:
        _Damaged: if there is a doubt about it.
    """
    row = _columns(sheet, number, cells, notes)
    name = unicodedata.normalize("NFC", row["id"].strip())
    if not name:
        raise _Damaged(number, "id", row["id"], "is no id", "Write one, or remove the row")
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise _Damaged(number, "id", name, "holds a tab, a new line or the like", "Rename the recording")
    if ".." in name.split("/") or name.startswith("/"):
        raise _Damaged(number, "id", name, "is outside the corpus's folder audio/", "Name a file below audio/")
    split = split_of(row.get("split", ""))
    if split is None:
        raise _Damaged(number, "split", row["split"], "is none", "Use train, dev or test, or leave it empty")
    given = row.get("split", "")
    if split != given:
        notes.add(f"splits are written {given!r} and read as {split or 'empty'}", name)
    text = plain(row.get("text", ""))
    if text != row.get("text", ""):
        notes.add("texts hold new lines, double spaces or split accents, and are read without", name)
    rest = {key: row[key].strip() for key in ("source", "references", "file", "kind") if key in row}
    return Recording(name, _samples(row.get("samples", ""), number), plain(row.get("speaker", "")), text, split, **rest)


def _columns(sheet: Sheet, number: int, cells: list[str], notes: Notes) -> dict[str, str]:
    """The cells of a row by column.

    Raises:
        _Damaged: if there are too few or too many of them, and it matters.
    """
    header = sheet.header
    if any(cell.strip() for cell in cells[len(header) :]):
        # A text with a comma in it pushes the others to the right, where only a split shows that it happened.
        if "text" in header and "split" not in header[header.index("text") :]:
            problem = f"is one of {len(cells)} cells, but the header has {len(header)}"
            raise _Damaged(number, "text", cells[header.index("text")], problem, "Quote texts that hold the separator")
        notes.add("rows have more cells than the header, which are not used", f"row {number}")
    missing = header[len(cells) :]
    if required := [name for name in missing if name in _REQUIRED]:
        problem = f"is the last of {len(cells)} cells, but the header has {len(header)}"
        raise _Damaged(number, required[0], cells[-1], problem, "Complete the row, or remove it")
    if missing:
        notes.add(f"rows end before the column {missing[0]}, which is taken as empty", f"row {number}")
    return {name: cells[place] if place < len(cells) else "" for place, name in enumerate(header)}


def _samples(text: str, number: int) -> int:
    """A count as spreadsheet programs write it: ``16000``, ``16000.0``, ``16000,0``, ``1.6E+04``; 0 if it is empty.

    Raises:
        _Damaged: if it is no whole number, or could be several.
    """
    given = text.strip()
    if not given:
        return 0
    # One digit or two behind a comma or a point are decimals; three could be thousands.
    if not re.fullmatch(r"\d+|\d+[.,]0{1,2}|\d+\.0{4,}|\d([.,]\d+)?[eE]\+?\d+", given):
        raise _Damaged(number, "samples", text, "is no number of samples", COUNT)
    value = float(given.replace(",", "."))
    if not 0 < value < 2**53 or value != int(value):
        raise _Damaged(number, "samples", text, "is no number of samples", COUNT)
    return int(value)
