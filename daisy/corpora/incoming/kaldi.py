"""Kaldi's folders: ``wav.scp``, ``text``, ``utt2spk`` and ``segments``, one folder per split."""

from __future__ import annotations

from pathlib import Path

from daisy.corpora.faults import Fault
from daisy.corpora.incoming.entries import Entry, Folder, Found, finite
from daisy.corpora.spreadsheet import read_text, split_lines, split_of

_PIPE = "Run its commands, and name the files that they write"


def pairs(path: Path) -> dict[str, str]:
    """The lines of one of Kaldi's files: a key, and all that follows."""
    if not path.exists():
        return {}
    lines = (line.strip().split(None, 1) for line in split_lines(read_text(path)[0]))
    return {words[0]: words[1] if len(words) > 1 else "" for words in lines if words}


def read(folder: Folder) -> Found | None:
    """The recordings of every folder with a ``wav.scp``; None if there is none."""
    tables = folder.named("wav.scp")
    if not tables:
        return None
    found = Found("Kaldi's wav.scp")
    for table in tables:
        _read(folder, table, found)
    return found


def _read(folder: Folder, table: Path, found: Found) -> None:
    shown = folder.inside(table)
    files: dict[str, Path] = {}
    for name, given in pairs(table).items():
        if given.endswith("|"):
            found.faults.append(Fault("a command", name, f"{shown}: {name} is a command, {given!r}", _PIPE))
        elif path := folder.find(given, table.parent):
            files[name] = path
        else:
            fix = "Restore the file, or remove its line"
            found.faults.append(Fault("missing", name, f"{shown}: {name} names {given!r}, which is not there", fix))
    texts, speakers = pairs(table.with_name("text")), pairs(table.with_name("utt2spk"))
    segments = pairs(table.with_name("segments"))
    split = split_of(table.parent.name) or None
    stretches: dict[str, tuple[str, float, float | None]] = {name: (name, 0.0, None) for name in files}
    if segments:
        stretches = {}
        for name, given in segments.items():
            words = given.split()
            try:
                first, last = finite(words[1]), finite(words[2])
                stretches[name] = (words[0], first, None if last < 0 else last)
            except (ValueError, IndexError):
                where = folder.inside(table.with_name("segments"))
                problem = f"{where}: {name} has {given!r}"
                found.faults.append(Fault("a segment", name, problem, "Write a recording, its start and its end"))
    for name, (recording, start, end) in stretches.items():
        if recording in files:
            speaker = speakers.get(name) if speakers else None
            text = texts.get(name, "")
            found.entries.append(Entry(files[recording], name, text, speaker, split, start, end))
    for name in [name for name in texts if name not in stretches]:
        found.notes.add(f"lines of {folder.inside(table.with_name('text'))} tell of no recording", name)
