"""lhotse's manifests: recordings and supervisions, or cuts that hold both, as lines of JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daisy.corpora.faults import Fault
from daisy.corpora.incoming.entries import Entry, Folder, Found, finite
from daisy.corpora.spreadsheet import read_text, split_of
from daisy.errors import DaisyError

_FIX = "Give a manifest of recordings and one of supervisions, or cuts"


def objects(path: Path) -> Iterator[tuple[int, Any]]:
    """The objects in a file of JSON lines, compressed or not, with the numbers of their lines.

    Raises:
        DaisyError: if a line is no JSON object.
    """
    try:
        content = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else read_text(path)[0]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DaisyError(f"it cannot be unpacked ({error})", file=path, fix="Fetch it again") from None
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DaisyError(f"line {number} is no JSON ({error})", file=path, fix="Correct the line") from None
        if not isinstance(value, dict):
            raise DaisyError(f"line {number} is {line[:40]!r}, no object", file=path, fix="Write one per line")
        yield number, value


def part_of(path: Path) -> str | None:
    """The split that a manifest's name tells: ``cuts_train.jsonl.gz``, ``libri_recordings_dev-clean.jsonl``."""
    words = re.split(r"[^a-z]+", path.name.lower().removesuffix(".gz").removesuffix(".jsonl"))
    splits = {split for word in words if (split := split_of(word))}
    return splits.pop() if len(splits) == 1 else None


def read(folder: Folder) -> Found | None:
    """The recordings of lhotse's manifests; None if there are none."""
    kinds = {path: _kind(path) for path in folder.ending(".jsonl", ".jsonl.gz")}
    manifests = [path for path, kind in kinds.items() if kind]
    if not manifests:
        return None
    found = Found("lhotse's manifests")
    recordings: dict[str, Path | None] = {}
    supervisions: list[tuple[Path, int, dict[str, Any]]] = []
    for path in manifests:
        for number, value in objects(path):
            if kinds[path] == "supervisions":
                supervisions.append((path, number, value))
                continue
            with _understood(folder, path, number, found):
                if kinds[path] == "recordings":
                    recordings[str(value.get("id"))] = _source(folder, path, value, found)
                else:
                    _cut(folder, path, value, found)
    for path, number, value in supervisions:
        with _understood(folder, path, number, found):
            _supervised(folder, path, value, recordings, found)
    if recordings and not supervisions:
        found.entries += [Entry(path, name) for name, path in recordings.items() if path]
    return found


@contextlib.contextmanager
def _understood(folder: Folder, path: Path, number: int, found: Found) -> Iterator[None]:
    """Turn a value of another kind than lhotse writes into a fault of its line."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else f"is not as lhotse writes it ({error})"
        problem = f"{folder.inside(path)}: line {number} {reason}"
        found.faults.append(Fault("a line", f"line {number}", problem, "Correct the line, or remove it"))


def _kind(path: Path) -> str:
    """What a manifest holds, by its first line: recordings, supervisions, cuts, or nothing of lhotse's."""
    try:
        first: dict[str, Any] = next(objects(path), (0, {}))[1]
    except DaisyError:
        return ""
    if "sources" in first:
        return "recordings"
    if "recording_id" in first and "duration" in first:
        return "supervisions"
    return "cuts" if str(first.get("type", "")).endswith("Cut") else ""


def _source(folder: Folder, path: Path, value: dict[str, Any], found: Found) -> Path | None:
    """The file of a recording; None, with a fault, if there is none."""
    name = str(value.get("id"))
    sources: list[dict[str, Any]] = value.get("sources") or []
    kinds = [source.get("type") for source in sources]
    if kinds != ["file"]:
        problem = f"{folder.inside(path)}: the recording {name} has the sources {kinds}, not one file"
        found.faults.append(Fault("a source", name, problem, "Save its audio in a file"))
        return None
    file = folder.find(str(sources[0].get("source")), path.parent)
    if file is None:
        problem = f"{folder.inside(path)}: the file {sources[0].get('source')!r} of {name} is not there"
        found.faults.append(Fault("missing", name, problem, "Restore the file, or remove its line"))
    return file


def _supervised(
    folder: Folder,
    path: Path,
    value: dict[str, Any],
    recordings: dict[str, Path | None],
    found: Found,
) -> None:
    name, recording = str(value.get("id")), str(value.get("recording_id"))
    if recording not in recordings:
        problem = f"{folder.inside(path)}: {name} is of the recording {recording}, which is in no manifest"
        found.faults.append(Fault("no recording", name, problem, _FIX))
        return
    file = recordings[recording]
    if file is not None:
        entry = _entry(file, name, value, value, part_of(path))
        found.entries.append(dataclasses.replace(entry, channel=_channel(value)))


def _cut(folder: Folder, path: Path, value: dict[str, Any], found: Found) -> None:
    recording = value.get("recording")
    spoken: list[dict[str, Any]] = value.get("supervisions") or [{}]
    name = str(value.get("id"))
    if value.get("type") != "MonoCut" or not recording or len(spoken) != 1:
        problem = f"{folder.inside(path)}: {name} is a {value.get('type')} with {len(spoken)} supervisions"
        found.faults.append(Fault("a cut", name, problem, "Save cuts of one recording with one supervision each"))
        return
    file = _source(folder, path, recording, found)
    if file is not None:
        entry = _entry(file, name, spoken[0], value, part_of(path))
        found.entries.append(dataclasses.replace(entry, channel=_channel(value)))


def _channel(value: dict[str, Any]) -> int | None:
    """The channel of a stretch; None if it is of several."""
    channel = value.get("channel", 0)
    return channel if isinstance(channel, int) else None


def _entry(file: Path, name: str, spoken: dict[str, Any], cut: dict[str, Any], split: str | None) -> Entry:
    text, speaker = str(spoken.get("text") or ""), spoken.get("speaker")
    start, seconds = finite(cut.get("start", 0)), finite(cut["duration"])
    return Entry(file, name, text, str(speaker) if speaker else None, split, start, start + seconds)
