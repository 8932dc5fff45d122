"""Tables of recordings: CSV and TSV of any dialect, with a header or without, and JSON lines with a file's name."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from daisy.corpora.faults import Fault
from daisy.corpora.incoming.entries import Entry, Folder, Found, absent, finite, same
from daisy.corpora.incoming.lhotse import objects, part_of
from daisy.corpora.spreadsheet import NAMES, Sheet, canonical, plain, read_sheet, read_text, split_lines, split_of
from daisy.errors import DaisyError

_HEADER = "Give it a header: file, text, speaker and split, in its order"
UNREAD = (".xlsx", ".xls", ".ods", ".parquet", ".arrow", ".textgrid", ".eaf", ".srt", ".vtt")
"""Names of files that tell of recordings in other ways."""

_USED = ("file", "id", "text", "speaker", "split", "start", "end", "offset", "duration")
"""What is read of a table; lengths are counted anew."""

ENDINGS = (".csv", ".tsv", ".psv", ".jsonl", ".jsonl.gz", ".json", ".ndjson")


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table that names files.

    Attributes:
        path: Where it is.
        rows: Each with where it stands and its cells by column.
        notes: What was not as usual.
    """

    path: Path
    rows: list[tuple[str, dict[str, str]]]
    notes: list[str]


def read(folder: Folder, given: Sequence[Path] = ()) -> Found | None:
    """The recordings of the tables in a folder; None if no table names any.

    Args:
        folder: The folder.
        given: The tables to read; those in the folder if there are none.

    Raises:
        DaisyError: if a table that is given cannot be understood.
    """
    found = Found("a table")
    tables = []
    for path in given or folder.ending(*ENDINGS):
        try:
            table = _table(path, folder)
        except DaisyError as error:
            if given:
                raise
            if path.exists() and not path.stat().st_size:
                found.notes.add("tables are empty, and left out", folder.inside(path))
                continue
            problem = f"{folder.inside(path)}: {error.problem}"
            found.faults.append(Fault("a table", path.name, problem, error.fix))
            continue
        if table is not None:
            tables.append(table)
        elif given:
            raise DaisyError("it has no column for files or ids", file=path, fix=_HEADER)
        else:
            found.notes.add("files tell of no recording, and are left out", folder.inside(path))
    chosen = _chosen(tables, found, folder) if not given else tables
    for table in chosen:
        _entries(table, folder, found)
    if not chosen and not found.faults:
        return None
    for path in folder.ending(*UNREAD):
        found.notes.add("files may tell of recordings, and cannot be read", folder.inside(path))
    found.layout = ", ".join(folder.inside(table.path) for table in chosen[:3]) or "a table"
    return found


def _chosen(tables: list[_Table], found: Found, folder: Folder) -> list[_Table]:
    """Of several tables in one folder, those that are named by a split: the others hold the same, or what is unfit."""
    by_folder: dict[Path, list[_Table]] = {}
    for table in tables:
        by_folder.setdefault(table.path.parent, []).append(table)
    chosen = []
    for group in by_folder.values():
        named = [table for table in group if part_of(table.path)]
        if len(group) > 1 and not named:
            names = ", ".join(table.path.name for table in group)
            problem = f"{folder.inside(group[0].path.parent)}: several tables name recordings: {names}"
            found.faults.append(Fault("tables", names, problem, "Choose one with --table"))
            continue
        kept = named if len(group) > 1 else group
        for table in group:
            if table not in kept:
                found.notes.add("tables stand beside those of splits, and are left out", folder.inside(table.path))
        chosen += kept
    return chosen


def _table(path: Path, folder: Folder) -> _Table | None:
    """A table, if it names a file in most of its rows."""
    if path.name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".json")):
        values = _whole(path) if path.suffix == ".json" else list(objects(path))
        rows = [(f"line {number}", _texts(value)) for number, value in values]
        return _Table(path, rows, []) if rows and ("file" in rows[0][1] or "id" in rows[0][1]) else None
    sheet = read_sheet(path)
    if rows := _fairseq(sheet):
        return _Table(path, rows, [])
    header = sheet.header or _guessed(sheet, folder)
    if not {"file", "id"} & set(header):
        _known_otherwise(sheet, folder)
        return None
    rows = []
    for number, cells in sheet.rows:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            raise DaisyError(
                f"row {number} has {len(cells)} cells, and the header {len(header)}",
                file=path,
                fix="Quote texts that hold the separator",
            )
        rows.append((f"row {number}", dict(zip(header, cells, strict=False))))
    return _Table(path, rows, [note for note in sheet.notes if not note.startswith("separated")])


def _known_otherwise(sheet: Sheet, folder: Folder) -> None:
    """Find out a column of files whose name is none that we know, such as one in another language.

    Raises:
        DaisyError: if there is one.
    """
    for place, name in enumerate(sheet.header):
        cells = [row[place] for _, row in sheet.rows if len(row) > place]
        if sum(folder.find(cell, sheet.path.parent) is not None for cell in cells) > len(cells) / 2:
            known = f"{', '.join(NAMES['file'][:4])} or {NAMES['id'][0]}"
            fix = f"Call it {known}, and the others text, speaker and split"
            raise DaisyError(f"its column {name!r} names recordings", file=sheet.path, fix=fix)


def _whole(path: Path) -> list[tuple[int, Mapping[str, object]]]:
    """The objects of a JSON file: a list of them, or some by their ids; none for settings of something else."""
    try:
        value = json.loads(read_text(path)[0])
    except (ValueError, DaisyError):
        try:
            return list(objects(path))
        except DaisyError:
            return []
    if isinstance(value, dict) and all(isinstance(item, dict) for item in value.values()):
        value = [{"id": key, **item} for key, item in value.items()]
    value = [value] if isinstance(value, dict) else value
    fits = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return list(enumerate(value, start=1)) if fits else []


def _fairseq(sheet: Sheet) -> list[tuple[str, dict[str, str]]]:
    """The rows of fairseq's manifests: a folder, and then files with their samples; texts in a ``.wrd`` beside it."""
    first, rows = (sheet.rows[0][1] if sheet.rows else []), sheet.rows[1:]
    if sheet.header or len(first) != 1 or any(len(cells) != 2 or not cells[1].strip().isdigit() for _, cells in rows):
        return []
    words = sheet.path.with_suffix(".wrd")
    texts = split_lines(read_text(words)[0]) if words.exists() else []
    if texts and len(texts) != len(rows):
        fix = "Give both the same recordings"
        raise DaisyError(f"{len(texts)} lines for the {len(rows)} of {sheet.path.name}", file=words, fix=fix)
    return [
        (f"row {number}", {"file": cells[0], "text": texts[place] if texts else ""})
        for place, (number, cells) in enumerate(rows)
    ]


def _texts(value: Mapping[str, object]) -> dict[str, str]:
    """A JSON object's values as cells, by our names; `audio` may be an object with a path."""
    cells: dict[str, str] = {}
    for key, item in value.items():
        item = item.get("path") if isinstance(item, Mapping) else item
        name = canonical(key)
        if isinstance(item, str | int | float) and (name not in cells or key == name):
            cells[name] = str(item)
    return cells


def _guessed(sheet: Sheet, folder: Folder) -> tuple[str, ...]:
    """The columns of a table without a header: a file and a text, or as LJ Speech has it, the text once more.

    Raises:
        DaisyError: if it names files, and what else it holds cannot be told.
    """
    width = max(len(cells) for _, cells in sheet.rows)
    named = [folder.find(cells[0], sheet.path.parent) is not None for _, cells in sheet.rows]
    if sum(named) < 0.8 * len(named) or width < 2:
        return ()
    if width == 2:
        return ("file", "text")
    words = [(cells[1].split(), cells[2].split()) for _, cells in sheet.rows if len(cells) == 3]
    # A normalised text has many words of the text itself.
    if width == 3 and sum(len(set(one) & set(other)) * 2 >= len(one) for one, other in words) * 2 > len(sheet.rows):
        return ("file", "as written", "text")
    raise DaisyError(f"{width} columns and no header", file=sheet.path, fix=_HEADER)


def _entries(table: _Table, folder: Folder, found: Found) -> None:
    """The recordings of a table's rows."""
    shown, part = folder.inside(table.path), part_of(table.path)
    for note in table.notes:
        found.notes.add(f"{shown}: {note}")
    columns = dict.fromkeys(name for _, cells in table.rows for name in cells)
    if unused := [repr(name) for name in columns if name and name not in (*_USED, "samples")]:
        found.notes.add(f"{shown}: columns not used: {', '.join(unused)} (those that are used: {', '.join(_USED)})")
    if not table.rows:
        problem = f"{shown} holds a header and no recording"
        found.faults.append(Fault("no rows", shown, problem, "Write a row per recording, or take it out of the folder"))
    lost = []
    for place, cells in table.rows:
        name = cells.get("file") or cells.get("id", "")
        split = split_of(cells["split"]) if "split" in cells else part
        if "split" in cells and split is None:
            problem = f"{shown}: {place}, column split: {cells['split']!r} is none"
            found.faults.append(Fault("a split", place, problem, "Use train, dev or test, or leave it empty"))
        path = folder.find(name, table.path.parent)
        if path is None:
            lost.append(name or place)
            continue
        try:
            start, end = _stretch(cells)
        except ValueError:
            problem = f"{shown}: {place} has a start or an end that is no number of seconds"
            found.faults.append(Fault("a stretch", place, problem, "Correct it"))
            continue
        speaker = cells.get("speaker")
        name = cells["id"].strip() if cells.get("id") and "file" in cells else ""
        if end is not None and not name:
            name = f"{folder.inside(path.with_suffix(''))}-{round(start * 1000):07d}"
        found.entries.append(Entry(path, name, cells.get("text", ""), speaker, split, start, end))
    absent(found, lost, shown)


def _stretch(cells: Mapping[str, str]) -> tuple[float, float | None]:
    """Start and end in seconds, where a table cuts recordings: columns start and end, or offset and duration.

    Raises:
        ValueError: if one of them is no finite number.
    """
    start = cells.get("start") or cells.get("offset")
    if not start or not (cells.get("end") or cells.get("duration")):
        return 0.0, None
    first = finite(start)
    return first, finite(cells["end"]) if cells.get("end") else first + finite(cells["duration"])


def lines_of(path: Path, names: Mapping[str, Path]) -> list[tuple[Path, str]]:
    """The recordings and texts of a file whose every line begins with a recording's name; none for any other file."""
    lines = [line.strip() for line in split_lines(read_text(path)[0]) if line.strip()]
    pairs: list[tuple[Path, str]] = []
    for line in lines:
        word, _, rest = line.replace("\t", " ").replace("|", " ", 1 if "|" in line else 0).partition(" ")
        recording = names.get(same(word)) or names.get(same(Path(word).stem))
        if recording is None or not rest.strip():
            return []
        if "|" in rest:
            raise DaisyError(f"{line[:60]!r} has several columns, and the file no header", file=path, fix=_HEADER)
        pairs.append((recording, rest))
    return pairs


def transcripts(folder: Folder, found: Found, endings: Iterable[str]) -> dict[Path, str]:
    """Texts in files beside the recordings: one per recording by its name, or lists by the recordings' names."""
    texts: dict[Path, str] = {}
    by_place = {(path.parent, same(path.stem)): path for path in folder.audio}
    names: dict[str, Path | None] = {}
    for path in folder.audio:
        stem = same(path.stem)
        names[stem] = None if stem in names else path
    unique = {name: path for name, path in names.items() if path is not None}
    by_folder: dict[Path, dict[str, Path]] = {}
    for path in folder.audio:
        by_folder.setdefault(path.parent, {})[same(path.stem)] = path
    for path in folder.ending(*endings):
        stem = same(path.name[: -len(path.suffix)])
        recording = by_place.get((path.parent, stem))
        if recording is None and stem in unique:
            recording = unique[stem]
        try:
            if recording is not None:
                texts.setdefault(recording, plain(read_text(path)[0]))
                continue
            inside = by_folder.get(path.parent, {})
            pairs = lines_of(path, collections.ChainMap(inside, unique))
        except DaisyError as error:
            found.faults.append(Fault("a text", path.name, f"{folder.inside(path)}: {error.problem}", error.fix))
            continue
        texts.update(pairs)
        if not pairs:
            found.notes.add("text files belong to no recording, and are left out", folder.inside(path))
    return texts
