"""Who speaks, and which split a recording belongs to, where no table says it: by folders, names, or a draw."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from daisy.corpora.faults import Fault
from daisy.corpora.incoming.entries import Entry, Folder, Found
from daisy.corpora.partition import PARTS, partition
from daisy.corpora.settings import Splits
from daisy.corpora.spreadsheet import plain, split_of
from daisy.corpora.table import Recording
from daisy.errors import DaisyError

UNKNOWN = "unknown"
_BY_NAME = "name:"


def _split_of_folder(name: str) -> str:
    """The split that a folder's name tells: ``train``, ``dev-clean``, ``Test_other``; empty for none."""
    return split_of(name) or split_of(re.split(r"[-_. ]", name)[0]) or ""


def _inner(entry: Entry, root: Path) -> tuple[str, ...]:
    """The folders between the imported one and a recording."""
    try:
        return entry.path.relative_to(root).parts[:-1]
    except ValueError:
        return ()


def with_splits(found: Found, folder: Folder) -> list[Entry]:
    """The entries with the splits that folders tell, if every one lies in such a folder and there are several."""
    entries = found.entries
    if any(entry.split is not None for entry in entries):
        return [dataclasses.replace(entry, split=entry.split or "") for entry in entries]
    told = [[split for part in _inner(entry, folder.root) if (split := _split_of_folder(part))] for entry in entries]
    if all(told) and len({splits[0] for splits in told}) > 1:
        return [dataclasses.replace(entry, split=splits[0]) for entry, splits in zip(entries, told, strict=True)]
    if any(told):
        found.notes.add("folders are named as splits, but not all recordings lie in several such: no split is taken")
    return [dataclasses.replace(entry, split="") for entry in entries]


def with_speakers(found: Found, entries: Sequence[Entry], folder: Folder, how: str) -> list[Entry]:
    """The entries with their speakers.

    Args:
        found: Takes notes.
        entries: With splits.
        folder: The folder that they are from.
        how: ``auto`` (what a table says, or else the folder), ``folder``, ``one``, or ``name:`` and a regular
            expression whose first group is the speaker in a file's name.

    Raises:
        DaisyError: if `how` is none of them.
    """
    if how == "one":
        return [dataclasses.replace(entry, speaker=UNKNOWN) for entry in entries]
    if how.startswith(_BY_NAME):
        return _by_name(found, entries, how.removeprefix(_BY_NAME))
    if how not in ("auto", "folder"):
        raise DaisyError(f"--speaker is {how!r}", fix="Use auto, folder, one, or name:REGEX")
    known = how == "auto" and any(entry.speaker is not None for entry in entries)
    by_folder = {} if known else _folders(entries, folder.root)
    speakers = []
    for entry in entries:
        speaker = plain(entry.speaker or "") if known else by_folder.get(entry.path, "")
        if not speaker:
            found.notes.add(f"recordings have no speaker, and count as one called {UNKNOWN}", entry.path.name)
        speakers.append(dataclasses.replace(entry, speaker=speaker or UNKNOWN))
    if not known and len(set(by_folder.values())) > 1:
        found.notes.add("speakers are taken from the names of folders (--speaker says otherwise)")
    return speakers


def _folders(entries: Sequence[Entry], root: Path) -> dict[Path, str]:
    """For each file the outermost folder that is no split's, and not everybody's."""
    inner = {entry.path: [part for part in _inner(entry, root) if not _split_of_folder(part)] for entry in entries}
    while inner and all(inner.values()) and len({parts[0] for parts in inner.values()}) == 1:
        inner = {path: parts[1:] for path, parts in inner.items()}
    return {path: plain(parts[0]) if parts else "" for path, parts in inner.items()}


def _by_name(found: Found, entries: Sequence[Entry], pattern: str) -> list[Entry]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DaisyError(f"--speaker: {pattern!r} is no regular expression ({error})", fix="Correct it") from None
    speakers = []
    for entry in entries:
        match = expression.search(entry.path.stem)
        if match is None:
            problem = f"{entry.path.name}: {pattern!r} fits nowhere in its name"
            found.faults.append(Fault("a name", entry.path.name, problem, "Correct --speaker"))
        else:
            name = (match[1] if match.groups() else match[0]) or ""
            if not plain(name):
                found.notes.add(f"recordings have no speaker, and count as one called {UNKNOWN}", entry.path.name)
            speakers.append(dataclasses.replace(entry, speaker=plain(name) or UNKNOWN))
    return speakers


def drawn(recordings: Sequence[Recording], splits: Splits | None) -> tuple[list[Recording], list[Fault]]:
    """The recordings with all three splits, or with none at all for the pipeline to draw.

    A split that is missing is drawn from the training part, speaker by speaker, if there is a seed.
    """
    given = {item.split for item in recordings if item.split}
    lacking = [part for part in PARTS if part not in given]
    if not lacking or (not given and splits is None):
        return list(recordings), []
    if splits is None or (given and "train" not in given):
        problem = f"there are the splits {', '.join(sorted(given))}, but not {' and '.join(lacking)}"
        fix = "Add --seed to draw them from train" if "train" in given else "Name one of them train"
        return list(recordings), [Fault("a split is missing", lacking[0], problem, fix)]
    dev, test = (splits.dev if "dev" in lacking else 0.0), (splits.test if "test" in lacking else 0.0)
    open_ones = [item for item in recordings if item.split in ("", "train")]
    blank = [dataclasses.replace(item, split="") for item in open_ones]
    parts = partition(blank, dataclasses.replace(splits, dev=dev, test=test))
    where = {item.id: part for part, items in parts.items() for item in items}
    if empty := [part for part in lacking if not parts[part]]:
        problem = f"no recording is drawn for {empty[0]}: no speaker has enough for its share"
        return list(recordings), [Fault("a split is missing", empty[0], problem, f"Raise --{empty[0]}, or add some")]
    return [dataclasses.replace(item, split=where.get(item.id, item.split)) for item in recordings], []
