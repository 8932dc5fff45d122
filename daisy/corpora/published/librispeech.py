"""LibriSpeech: FLAC files by subset, speaker and chapter, with one file of transcripts per chapter."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import LibriSpeechSettings
from daisy.corpora.published.tree import Fault, Listed, Tree, count, differences, files_below, roots_of

NAME = "librispeech"
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz' ")
"""What transcripts consist of, in lower case."""

TRANSCRIPTS = ".trans.txt"


def transcripts(file: Path) -> Iterator[tuple[str, str]]:
    """Ids and transcripts of a chapter, as they stand in the file."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, text = line.strip().partition(" ")
        if name:
            yield name, text


def fault_of(text: str) -> str | None:
    """What is wrong with a transcript in lower case, or None."""
    if not text:
        return "its transcript is empty"
    strange = sorted(set(text) - LETTERS)
    return f"its transcript has the character {strange[0]!r}" if strange else None


def chapters(folder: Path, place: str, subset: str, split: str) -> tuple[list[Listed], list[Fault]]:
    """The recordings of a folder of speakers, chapters and transcripts.

    Args:
        folder: For example ``LibriSpeech/dev-clean``.
        place: The same below the corpus's ``audio/``.
        subset: As the makers' counts know it.
        split: ``train``, ``dev`` or ``test``.
    """
    files = {path.stem: path for path in files_below(folder, ".flac")}
    listed, faults, told = [], [], set()
    for file in files_below(folder, TRANSCRIPTS):
        for name, written in transcripts(file):
            told.add(name)
            inside = f"{place}/{os.path.relpath(file.parent, folder)}/{name}"
            text = written.lower()
            problem = fault_of(text) if name in files else f"{file.name} lists it, but it is not there"
            if problem:
                faults.append(Fault(inside, problem))
            else:
                speaker = name.split("-")[0]
                listed.append(Listed(inside, files[name], f"{inside}.flac", subset, split, speaker, text))
    for name in sorted(set(files) - told):
        inside = f"{place}/{os.path.relpath(files[name].parent, folder)}/{name}"
        faults.append(Fault(inside, "it has no transcript"))
    return listed, faults


def speakers_of(root: Path) -> dict[str, set[str]]:
    """The speakers of every subset by ``SPEAKERS.TXT``; nothing where the archive's file is not kept."""
    file = root / "SPEAKERS.TXT"
    result: dict[str, set[str]] = {}
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            parts = [part.strip() for part in line.split("|")]
            if not line.startswith(";") and len(parts) >= 3:
                result.setdefault(parts[2], set()).add(parts[0])
    return result


def subsets(root: str, splits: Mapping[str, str]) -> Tree:
    """The recordings of some subsets.

    Args:
        root: From the config.
        splits: The split of every subset.

    Raises:
        DaisyError: if a subset is not there at all.
    """
    corpus = CORPORA[NAME]
    listed: list[Listed] = []
    faults: list[Fault] = []
    roots: dict[str, Path] = {}
    there = roots_of(root, splits, NAME)
    for subset, split in splits.items():
        folder = there[subset]
        roots["LibriSpeech"] = folder
        items, wrong = chapters(folder / subset, f"LibriSpeech/{subset}", subset, split)
        known, heard = speakers_of(folder).get(subset, set()), {item.speaker for item in items}
        missing = sorted(known - heard, key=lambda name: (len(name), name))
        faults += [Fault(f"LibriSpeech/{subset}/{name}", "the speaker has no recording") for name in missing]
        listed, faults = listed + items, faults + wrong
    census = count(listed, splits)
    return Tree(listed, faults + differences(census, corpus.sizes), census, roots)


def read(settings: LibriSpeechSettings) -> Tree:
    """The recordings of all subsets in use.

    Raises:
        DaisyError: if a subset is not there at all.
    """
    parts = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    return subsets(settings.root, {subset: part for part, chosen in parts.items() for subset in chosen})


READER = Reader(NAME, LibriSpeechSettings, read)
