"""Make a corpus from a folder of recordings: look, convert, and write the table once all is well."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from daisy.common.files import write_csv
from daisy.common.progress import Progress
from daisy.corpora.faults import Fault, Notes
from daisy.corpora.headers import Unreadable
from daisy.corpora.incoming import kaldi, lhotse, people, plain, tables
from daisy.corpora.incoming.entries import Entry, Folder, Found
from daisy.corpora.own import TABLE
from daisy.corpora.settings import Splits
from daisy.corpora.spreadsheet import plain as one_line
from daisy.corpora.table import Recording, write_table
from daisy.errors import DaisyError

JOURNAL = ".import.jsonl"
"""What is converted already, so that an import that was ended goes on where it was."""


_LONGEST = 200
"""Bytes of a name that leave room for an ending, a number, and what a file is called while it is written."""

_INSTEAD = {
    (".tar", ".zip", ".gz", ".tgz", ".7z", ".rar", ".bz2"): "Unpack its archives",
    (".parquet", ".arrow"): "Save the audio in its tables as files",
    (".raw", ".pcm"): "Give its files headers: nothing tells their rate",
}
"""What to do with folders that hold recordings in other ways."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How a corpus is made.

    Attributes:
        tables: The tables that tell of the recordings; found if none are given.
        speaker: How speakers are told; see `daisy.corpora.incoming.people.with_speakers`.
        splits: How missing splits are drawn; None if they are not.
        letters_only: Whether texts lose all but letters, digits and apostrophes.
        skip_bad: Whether faults are left out and listed, rather than keeping the corpus from being made.
        threads: Recordings that are converted at once.
    """

    tables: tuple[Path, ...] = ()
    speaker: str = "auto"
    splits: Splits | None = None
    letters_only: bool = False
    skip_bad: bool = False
    threads: int = 4


@dataclasses.dataclass(frozen=True)
class Brought:
    """What became of a folder.

    Attributes:
        layout: How its recordings were told of.
        recordings: Those of the corpus.
        faults: What cannot be used.
        notes: What is left out, or otherwise than it was.
        written: Whether there is a corpus now.
    """

    layout: str
    recordings: list[Recording]
    faults: list[Fault]
    notes: Notes
    written: bool


def discover(folder: Folder, given: Sequence[Path] = ()) -> Found:
    """What a folder holds, by the first layout that fits.

    Raises:
        DaisyError: if it holds no audio, or a manifest cannot be understood.
    """
    if given:
        found = tables.read(folder, given) or Found("the tables that are given")
    else:
        found = kaldi.read(folder) or lhotse.read(folder) or tables.read(folder) or plain.read(folder)
    if not found.entries and not found.faults:
        problem = "it holds no recording" + (" that a table names" if folder.audio else "")
        kinds = {path.suffix.lower() for path in folder.files}
        fixes = [fix for endings, fix in _INSTEAD.items() if kinds & set(endings)]
        raise DaisyError(problem, file=folder.root, fix=(fixes or ["Name a folder with audio files in it"])[0])
    used = {entry.path for entry in found.entries}
    for path in folder.audio:
        if path not in used:
            found.notes.add("audio files are in no table, and left out", folder.inside(path))
    return found


def named(found: Found, entries: Sequence[Entry], folder: Folder) -> dict[str, Entry]:
    """The entries by ids that are unique, also where capital letters do not count, and fit into names of files."""
    ids: dict[str, Entry] = {}
    taken: dict[str, Entry] = {}
    for entry in entries:
        path = os.path.splitext(folder.inside(entry.path))[0]
        name = re.sub(r"[^\w./-]+", "_", one_line(entry.name or path)).strip("/._") or "recording"
        name = "/".join(part.strip(".") or "_" for part in name.split("/"))
        if any(len(part.encode()) > _LONGEST for part in name.split("/")):
            problem = f"{folder.inside(entry.path)}: its name is too long for a file, {name[:40]}..."
            found.faults.append(Fault("a long name", folder.inside(entry.path), problem, "Give it a shorter one"))
            continue
        other = taken.get(name.lower())
        if other is not None and (entry.name or other.path.with_suffix("") == entry.path.with_suffix("")):
            problem = f"{folder.inside(entry.path)} and {folder.inside(other.path)} are both called {name}"
            fix = "Keep one, or give them names of their own"
            if other.path == entry.path:
                problem = f"{folder.inside(entry.path)} is named twice, and both are called {name}"
                fix = "Keep one row, or give them ids of their own"
            found.faults.append(Fault("one name", folder.inside(entry.path), problem, fix))
            continue
        number = 2
        unique = name
        while unique.lower() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken[unique.lower()] = ids[unique] = entry
    return ids


def text_of(text: str, letters_only: bool) -> str:
    """A transcript as speech recognition takes it: one line, in lower case."""
    lower = one_line(one_line(text).lower().replace("’", "'"))
    return one_line(re.sub(r"[^\w' ]|_", " ", lower)) if letters_only else lower


def bring(root: Path, out: Path, options: Options) -> Brought:
    """Make a corpus in `out` from the recordings below `root`, of which nothing is changed.

    Raises:
        DaisyError: if there is nothing to import, or something else is in `out`.
    """
    known = _journal(root, out)
    folder = Folder(root, without=out)
    found = discover(folder, options.tables)
    entries = people.with_speakers(found, people.with_splits(found, folder), folder, options.speaker)
    ids = named(found, entries, folder)
    _check_same(entries, known, out)
    made = _convert(ids, folder, found, known, out, options.threads)
    recordings = []
    for name, samples in made.items():
        entry = ids[name]
        text = text_of(entry.text, options.letters_only)
        if text != one_line(entry.text):
            found.notes.add("texts are taken in lower case" + " and without punctuation" * options.letters_only, name)
        source = one_line(folder.inside(entry.path))
        recordings.append(Recording(name, samples, entry.speaker or "", text, entry.split or "", source))
    recordings, lacking = people.drawn(recordings, options.splits)
    faults = found.faults + lacking
    usable = bool(recordings) and not lacking and (options.skip_bad or not faults)
    if usable:
        (out / "dropped.csv").unlink(missing_ok=True)
        if faults:
            rows = [{"id": fault.name, "reason": fault.problem} for fault in faults]
            write_csv(out / "dropped.csv", ("id", "reason"), rows)
        write_table(out / TABLE, recordings)
        _tidy(out, known, set(made))
    return Brought(found.layout, recordings, faults, found.notes, usable)


def _journal(root: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What an earlier call converted, by id.

    Raises:
        DaisyError: if the folders cannot be what they shall.
    """
    if root.is_file():
        raise DaisyError("it is a file", file=root, fix="Name the folder that holds the recordings")
    if not root.is_dir():
        raise DaisyError("there is no such folder", file=root, fix="Name the folder that holds the recordings")
    if out.resolve() == root.resolve():
        raise DaisyError("it is the folder of the recordings itself", file=out, fix="Give --out a folder of its own")
    if out.exists() and not out.is_dir():
        raise DaisyError("it is a file", file=out, fix="Give --out a folder of its own")
    if out.is_dir() and any(out.iterdir()) and not (out / JOURNAL).exists():
        raise DaisyError("something else is in it", file=out, fix="Give --out a folder of its own")
    if out.resolve() in root.resolve().parents:
        problem = f"the recordings lie in it ({root})"
        raise DaisyError(problem, file=out, fix="Give --out a folder of its own")
    known = {}
    if (out / JOURNAL).exists():
        for line in (out / JOURNAL).read_text(encoding="utf-8").splitlines():
            try:
                item = json.loads(line)
                known[item["id"]] = item
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a call that was killed
    return known


def _check_same(entries: Sequence[Entry], known: dict[str, dict[str, Any]], out: Path) -> None:
    """Check that a finished corpus is not replaced by one of other recordings.

    Raises:
        DaisyError: if it would be.
    """
    before = sorted(str(item.get("made_of", [""])[0]) for item in known.values())
    if before and (out / TABLE).exists() and not {str(entry.path.resolve()) for entry in entries} & set(before):
        problem = f"it holds a corpus that was made of other recordings ({before[0]} and so on)"
        raise DaisyError(problem, file=out, fix="Give --out a folder of its own, or delete this one")


def _identity(entry: Entry) -> list[Any]:
    """What decides what is made of an entry."""
    status = entry.path.stat()
    return [str(entry.path.resolve()), status.st_size, status.st_mtime_ns, entry.start, entry.end, entry.channel]


def _convert(
    ids: dict[str, Entry], folder: Folder, found: Found, known: dict[str, dict[str, Any]], out: Path, threads: int
) -> dict[str, int]:
    """Convert what is not there yet; the samples of all that can be used, by id."""
    from daisy.corpora.incoming.convert import Converted, convert  # it needs torch, which takes a second

    def made(name: str) -> tuple[list[Any], Converted | Unreadable]:
        entry, file = ids[name], out / "audio" / f"{name}.flac"
        try:
            identity = _identity(entry)
            if known.get(name, {}).get("made_of") == identity and file.exists():
                return identity, Converted(known[name]["samples"], tuple(known[name]["notes"]))
            return identity, convert(entry, file)
        except OSError as error:
            problem = f"it cannot be opened ({error.strerror})"
            return [], Unreadable("unreadable", problem, "Restore it, or leave it out")
        except Unreadable as error:
            return [], error

    counts: dict[str, int] = {}
    progress = Progress("import", max(1, len(ids)), "recordings")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / JOURNAL, "a", encoding="utf-8") as journal, ThreadPoolExecutor(threads) as pool:
        for name, (identity, outcome) in zip(ids, pool.map(made, ids), strict=True):
            progress.add()
            if isinstance(outcome, Unreadable):
                shown = folder.inside(ids[name].path)
                found.faults.append(outcome.fault(shown, shown))
                continue
            counts[name] = outcome.samples
            for note in outcome.notes:
                found.notes.add(note, name)
            line = {"id": name, "made_of": identity, "samples": outcome.samples, "notes": outcome.notes}
            if known.get(name, {}).get("made_of") != identity:
                journal.write(json.dumps(line) + "\n")
                journal.flush()
    return counts


def _tidy(out: Path, known: dict[str, dict[str, Any]], used: set[str]) -> None:
    """Remove what an earlier call made of recordings that are gone."""
    for name in set(known) - used:
        if ".." not in name.split("/"):
            (out / "audio" / f"{name}.flac").unlink(missing_ok=True)
