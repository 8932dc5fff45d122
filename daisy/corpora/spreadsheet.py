"""Tables as people and their programs write them, in any encoding, with any delimiter and ending of lines.

What can be read in one way alone is read; where there is a doubt, an error names it.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from daisy.errors import DaisyError

DELIMITERS = "\t|;,"
"""What separates cells, the more telling first: a text holds commas for other reasons."""

NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "utt_id", "utterance_id", "utterance", "key"),
    "file": (
        *("file", "file_name", "filename", "path", "file_path", "filepath", "audio", "audio_file", "audio_path"),
        *("audio_filepath", "wav", "wav_file", "wav_path", "wav_filename"),
    ),
    "samples": ("samples", "num_samples", "n_samples"),
    "speaker": ("speaker", "speaker_id", "speakerid", "spk", "spk_id", "client_id"),
    "text": ("text", "transcript", "transcription", "sentence", "normalized_text", "wrd"),
    "split": ("split", "set", "subset", "partition"),
    "source": ("source",),
    "references": ("references",),
    "kind": ("kind",),
}
"""What a column can be called, by what it holds; the first name is our own."""

SPLITS = {
    "train": ("train", "training", "trn", "tr"),
    "dev": ("dev", "development", "valid", "validation", "val", "cv"),
    "test": ("test", "testing", "tst", "tt"),
}
"""What a split can be called. ``eval`` is dev to some and test to others, so it is none."""

_KINDS = {
    b"PK\x03\x04": ("an Excel or OpenDocument workbook", "Save it as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save it as CSV UTF-8"),
    b"\x1f\x8b": ("compressed by gzip", "Unpack it"),
    b"version https://git-lfs": ("a Git-LFS pointer and no table", "Fetch the file with `git lfs pull`"),
    b"<!DOCTYPE": ("a web page", "Download the table itself"),
    b"<html": ("a web page", "Download the table itself"),
}
_WESTERN = re.compile("[À-ÖØ-öø-ÿŒœ‘’‚“”„‹›–—…«»¡¿°€£§·\xa0\x00-\x7f]*")
_DOUBTFUL = re.compile("[À-ÿ]{3}|[A-Za-z][‚„”][A-Za-z]")
"""Letters of another alphabet, or in the encodings of DOS é, ä and ö: these are quotation marks in Windows-1252."""


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A table as it is written.

    Attributes:
        path: The file.
        header: What each column holds, by our names where `NAMES` has it, and in lower case; empty without a header.
        rows: Each with its number, counted as spreadsheet programs do: the first line is 1.
        notes: What was not as usual.
    """

    path: Path
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    notes: list[str]


def split_of(name: str) -> str | None:
    """``train``, ``dev`` or ``test`` for what people call a split; empty for none; None if it cannot be told."""
    word = name.strip().lower()
    return next((split for split, names in SPLITS.items() if word in names), None if word else "")


def plain(text: str) -> str:
    """A text on one line, its accented letters as single characters."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_text(path: Path) -> tuple[str, str]:
    """A text file in the encoding that it is in, and what to tell about that; empty for UTF-8.

    Raises:
        DaisyError: if it is missing, no text, or in an encoding that cannot be told.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DaisyError("the file does not exist", file=path, fix="Correct the path") from None
    except OSError as error:
        raise DaisyError(f"it cannot be read ({error.strerror})", file=path, fix="Correct the path") from None
    for start, (what, fix) in _KINDS.items():
        if content[: len(start)].lower() == start.lower():
            raise DaisyError(f"it is {what}", file=path, fix=fix)
    encoding = _encoding(content)
    try:
        return content.decode(encoding), f"read as {encoding.upper()}" if encoding.startswith("utf-16") else ""
    except UnicodeDecodeError as error:
        return _western(path, content, content[: error.start].count(b"\n") + 1)


def _encoding(content: bytes) -> str:
    """The encoding that a file's first bytes tell."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = content[:400:2].count(0), content[1:400:2].count(0)
    if max(even, odd) > len(content[:400]) / 4:
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8-sig"


def _western(path: Path, content: bytes, row: int) -> tuple[str, str]:
    """A text that is not UTF-8, if it makes sense in Western Europe's encoding.

    Letters of other alphabets would come out as runs of accented ones, DOS's as quotation marks within words.
    """
    line = content.splitlines()[row - 1]
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or not _WESTERN.fullmatch(text) or _DOUBTFUL.search(text):
        raise DaisyError(
            f"row {row} is not UTF-8: {line[:60]!r}", file=path, fix="Save the file as UTF-8 (in Excel: CSV UTF-8)"
        )
    return text, f"not UTF-8, so read as Windows-1252: row {row} has {line.decode('cp1252')[:60].strip()!r}"


def split_lines(text: str) -> list[str]:
    """The lines of a text, ended in any way that files end lines, and in no other."""
    lines = re.split("\r\n|\n|\r", text)
    return lines if lines[-1] else lines[:-1]


def canonical(name: str) -> str:
    """What a column of some name holds, by our name for it; the name itself in lower case if it is none of them."""
    name = re.sub(r"[\s-]+", "_", name.strip().lower())
    return next((ours for ours, names in NAMES.items() if name in names), name)


def read_sheet(path: Path) -> Sheet:
    """Read a table, whatever program wrote it.

    Raises:
        DaisyError: if it is no text, its encoding cannot be told, or a quotation mark is never closed.
    """
    text, note = read_text(path)
    notes = [note] if note else []
    first, _, rest = text.lstrip("\n\r").partition("\n")
    told = re.fullmatch(r"sep=(.)\r?", first)
    skipped = 1 if told else 0
    delimiter = told[1] if told else _delimiter(text)
    rows = _rows(path, rest if told else text, delimiter, skipped)
    if not rows:
        raise DaisyError("it is empty", file=path, fix="Write a header and a row per recording")
    header = [canonical(name) for name in rows[0][1]]
    if not set(header) & set(NAMES):
        return Sheet(path, (), rows, notes)
    for column in set(header):
        _one(path, column, rows[0][1], header)
    if delimiter != "," and len(header) > 1:
        notes.append(f"separated by {'tabs' if delimiter == chr(9) else repr(delimiter)}")
    return Sheet(path, tuple(header), rows[1:], notes)


def _one(path: Path, column: str, given: Sequence[str], header: list[str]) -> None:
    """Let one column alone be called `column`: that of our own name, if there are several.

    Raises:
        DaisyError: if several could be meant.
    """
    places = [place for place, name in enumerate(header) if name == column]
    if not column or len(places) == 1:
        return
    exact = [place for place in places if given[place].strip().lower() == column]
    if len(exact) != 1:
        names = ", ".join(repr(given[place]) for place in places)
        raise DaisyError(f"row 1: the columns {names} could all be {column}", file=path, fix=f"Call one {column}")
    for place in places:
        if place != exact[0]:
            header[place] = given[place].strip().lower() + " (not used)"


def _delimiter(text: str) -> str:
    """What separates the cells: whatever gives the most columns that are known, or else equally many in every row."""
    lines = [line for line in split_lines(text)[:20] if line.strip()]

    def merit(delimiter: str) -> tuple[int, bool]:
        header = next(csv.reader(lines[:1], delimiter=delimiter), [])
        counts = {line.count(delimiter) for line in lines}
        return len({canonical(name) for name in header} & set(NAMES)), len(counts) == 1 and counts != {0}

    return max(DELIMITERS, key=merit) if lines else ","


def _rows(path: Path, text: str, delimiter: str, skipped: int) -> list[tuple[int, list[str]]]:
    """The rows that hold anything, with their numbers."""
    lines = split_lines(text)
    counts = {line.count(delimiter) for line in lines if line.strip()}
    if delimiter in "\t|" and len(counts) == 1:
        # Such files seldom quote, and a lone quotation mark is a character of a text.
        cells = ([_unquoted(cell) for cell in line.split(delimiter)] for line in lines)
        numbered = list(enumerate(cells, start=1 + skipped))
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        numbered = []
        try:
            for number, row in enumerate(reader, start=1 + skipped):
                numbered.append((number, row))
        except csv.Error as error:
            raise DaisyError(
                f"row {len(numbered) + 1 + skipped} has a quotation mark too many or too few ({error})",
                file=path,
                fix='Put a cell that holds quotation marks between others, and double those inside: "so ""called"""',
            ) from None
    return [(number, row) for number, row in numbered if any(cell.strip() for cell in row)]


def _unquoted(cell: str) -> str:
    """A cell without the quotation marks around it, if those inside are doubled."""
    inside = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if quoted else cell
