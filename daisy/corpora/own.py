"""A corpus of the user's own, checked: its table, the files that the table names, and what they hold.

The same check is made by `daisy data check`, by the first job of a run on the corpus, and in short (the table, the
names of the files and the headers of a few) before any job.
"""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daisy.common.audio import SAMPLE_RATE
from daisy.common.progress import Progress
from daisy.corpora.faults import Fault, Notes, grouped
from daisy.corpora.headers import SHORTEST, Unreadable, count_samples, read_header
from daisy.corpora.spreadsheet import plain
from daisy.corpora.table import UNIQUE, Recording, read_rows
from daisy.errors import DaisyError

TABLE = "recordings.csv"
ENDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".w64", ".caf", ".au")
"""What an audio file's name can end in where the table does not say it, in the order in which they are looked for."""

IMPORT = "Let `daisy data import` make a corpus of it"
_SHOWN = 24
_FEW = 20
"""So many headers are read before any job."""


@dataclasses.dataclass(frozen=True)
class Own:
    """What was found of a corpus.

    Attributes:
        folder: Where it lies.
        recordings: Those that can be used; each knows its file, and its length where that was looked at.
        faults: What keeps the corpus from being used.
        notes: What is read otherwise than it is written.
    """

    folder: Path
    recordings: list[Recording]
    faults: list[Fault]
    notes: Notes

    def answer(self) -> None:
        """Stop if there is a fault.

        Raises:
            DaisyError: with the first fault, and how many there are.
        """
        if not self.faults:
            return
        first, problem = next(grouped(self.faults))
        kinds = len({fault.kind for fault in self.faults})
        others = f"; faults of {kinds - 1} other kinds: `daisy data check` lists them" if kinds > 1 else ""
        raise DaisyError(f"{problem}{others}", file=self.folder / TABLE, fix=first.fix)


def look(folder: Path) -> Own:
    """What the table and the names of the files tell.

    Raises:
        DaisyError: if there is no table at all.
    """
    if not (folder / TABLE).exists():
        raise DaisyError(f"{folder} holds no {TABLE}", fix=f"Correct the path. {IMPORT}, if it holds recordings")
    table = read_rows(folder / TABLE)
    listing = _listing(folder / "audio")
    found = Own(folder, [], list(table.faults), table.notes)
    if not table.recordings and not table.faults:
        fix = f"Write a row per recording. {IMPORT}, if it has none"
        found.faults.append(Fault("no rows", TABLE, f"{TABLE} holds a header and no recording", fix))
    if not listing and not (folder / "audio").is_dir():
        problem = f"{folder / 'audio'} is not there: the recordings are looked for in it"
        found.faults.append(Fault("no audio", "audio", problem, f"Put them there. {IMPORT}, if they lie elsewhere"))
        return found
    taken = {item.id for item in table.recordings}
    owners: dict[str, str] = {}
    for item in table.recordings:
        file = _file(folder / "audio", listing, item)
        if file is None:
            problem = f"audio/{item.path.replace(chr(92), '/')} of {item.id} is not there"
            found.faults.append(Fault("missing", item.id, problem, "Restore the files, or remove their rows"))
            continue
        if owners.setdefault(file, item.id) != item.id:
            problem = f"audio/{file} is the recording of {owners[file]} and of {item.id}"
            found.faults.append(Fault("shared audio", item.id, problem, "Remove a row, or correct its file"))
            continue
        lost = [name for name in item.references.split(";") if name and _named(folder / "audio", listing, name) is None]
        if lost:
            problem = f"the reference audio/{lost[0]} of {item.id} is not there"
            found.faults.append(Fault("no reference", item.id, problem, "Restore it, or remove the row"))
            continue
        name = _short(item.id, file)
        if name != item.id:
            if name in taken:
                problem = f"{item.id} and {name} are one recording's name, with its ending and without"
                found.faults.append(Fault("two names", item.id, problem, UNIQUE))
                continue
            taken.add(name)
            found.notes.add("ids end as their files do, and are taken without that", item.id)
        found.recordings.append(_read(dataclasses.replace(item, id=name, file=file), found.notes))
    _tell_strange(found)
    return found


def _tell_strange(found: Own) -> None:
    """Note the characters of all texts that are no letters."""
    if strange := sorted(set().union(*(_strange(item.text) for item in found.recordings))):
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        readable = (letter if letter.isprintable() else f"U+{ord(letter):04X}" for letter in strange[:_SHOWN])
        letters = f"{' '.join(readable)}{more}"
        found.notes.add(f"such characters are: {letters} (--letters-only of the import drops them)")


def _listing(audio: Path) -> dict[str, str]:
    """The files below a folder, by name with accented letters in one piece."""
    names = {}
    for place, _, files in os.walk(audio, followlinks=True):
        inside = os.path.relpath(place, audio)
        for file in files:
            name = file if inside == "." else f"{inside}/{file}"
            names[unicodedata.normalize("NFC", name)] = name
    return names


def _named(audio: Path, listing: Mapping[str, str], name: str) -> str | None:
    """The file below ``audio/`` that a table means; one that it names by an absolute path is taken where it lies."""
    if os.path.isabs(name):
        return name if os.path.exists(name) else None
    name = unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")
    for tried in (name, name.removeprefix("audio/")):
        if tried in listing:
            return listing[tried]
    # Names such as ../elsewhere.wav are in no listing.
    return name if ".." in name.split("/") and (audio / name).exists() else None


def _file(audio: Path, listing: Mapping[str, str], item: Recording) -> str | None:
    """The file of a recording: by the column `file`, or by its id with the first ending that is there."""
    names = [item.file] if item.file else [f"{item.id}{ENDINGS[0]}", item.id, *(item.id + end for end in ENDINGS[1:])]
    return next((file for name in names if (file := _named(audio, listing, name))), None)


def _short(name: str, file: str) -> str:
    """An id without the ending of its file."""
    ending = os.path.splitext(file)[1]
    return name[: -len(ending)] if ending.lower() in ENDINGS and name.endswith(ending) else name


def _strange(text: str) -> set[str]:
    """The characters of a text that are no letters."""
    return {letter for letter in text if not (letter.isalpha() or letter in " '")}


def _read(item: Recording, notes: Notes) -> Recording:
    """A recording with its text as speech recognition takes it: in lower case."""
    lower = plain(item.text.lower())
    if lower != item.text:
        notes.add("texts have capital letters, and are taken in lower case", item.id)
    if _strange(lower):
        notes.add("texts hold digits or punctuation, each a letter of its own for speech recognition", item.id)
    return dataclasses.replace(item, text=lower)


def check(folder: Path, *, decode: bool, threads: int = 8, few: bool = False) -> Own:
    """Check a corpus.

    Args:
        folder: Where it lies.
        decode: Whether every sample is decoded, rather than every header read.
        threads: Recordings that are read at once.
        few: Whether a few recordings stand for all; the length of the others stays as the table says.

    Raises:
        DaisyError: if there is no table at all.
    """
    found = look(folder)
    items = found.recordings
    if few and len(items) > _FEW:
        items = [items[place * len(items) // _FEW] for place in range(_FEW)]
    progress = Progress("own corpus", max(1, len(items)), "recordings")

    def tried(item: Recording) -> Recording | Fault:
        try:
            return _measured(folder / "audio", item, decode=decode)
        except Unreadable as error:
            return error.fault(item.id, f"audio/{item.path}")

    outcomes = {}
    with ThreadPoolExecutor(threads) as pool:
        for item, outcome in zip(items, pool.map(tried, items), strict=True):
            outcomes[item.id] = outcome
            if not few:
                progress.add()
    merged = [outcomes.get(item.id, item) for item in found.recordings]
    faults = [item for item in merged if isinstance(item, Fault)]
    usable = [item for item in merged if isinstance(item, Recording)]
    if usable and not any(item.speaker for item in usable):
        found.notes.add("there is no speaker in the table: all recordings count as one speaker's")
    return Own(folder, usable, found.faults + faults, found.notes)


def _measured(audio: Path, item: Recording, *, decode: bool) -> Recording:
    """A recording with the length of its file, which is of the kind that is needed.

    Raises:
        Unreadable: if it is not, or has another length than the table says.
    """
    samples = _samples(audio / item.path, decode)
    if item.samples and item.samples != samples:
        problem = f"{samples} samples, but the table says {item.samples}"
        raise Unreadable("samples", problem, "Correct the column samples, or leave it away: they are counted then")
    for name in item.references.split(";") if item.references else ():
        length = _samples(audio / name, decode)
        if length != samples:
            problem = f"{samples} samples, but its reference {name} has {length}"
            raise Unreadable("reference", problem, "Cut both to one length")
    return dataclasses.replace(item, samples=samples)


def _samples(path: Path, decode: bool) -> int:
    """Samples of a file of one channel at 16 kHz.

    Raises:
        Unreadable: if it is of another kind, or too short.
    """
    header = read_header(path)
    if (header.rate, header.channels) != (SAMPLE_RATE, 1):
        channels = "" if header.channels == 1 else f" and {header.channels} channels"
        raise Unreadable("rate", f"{header.rate} Hz{channels}, not {SAMPLE_RATE} Hz and one channel", IMPORT)
    samples = count_samples(path) if decode else header.samples
    if samples < SHORTEST:
        problem = f"{samples} samples, and HuBERT needs {SHORTEST} for its first frame"
        raise Unreadable("short", problem, "Leave it out")
    return samples


def summary(found: Own) -> str:
    """A line about what can be used."""
    items: Sequence[Recording] = found.recordings
    speakers = len({item.speaker for item in items})
    hours = sum(item.samples for item in items) / SAMPLE_RATE / 3600
    texts = sum(bool(item.text) for item in items)
    return f"{len(items):,} recordings, {speakers:,} speakers, {texts:,} with a text, {hours:.2f} h"
