"""Speech Commands v1: one-second recordings of thirty words, divided by its makers' lists, with their set for tests.

As s3prl has it: words of ``validation_list.txt`` are for dev, those of ``testing_list.txt`` are left out, and all
others are for training; what is tested on is the makers' own test set, whose folders are the twelve classes. Silence
comes from the recordings in ``_background_noise_``, where s3prl draws a second anew whenever it reads one, for dev too.
Here they are cut into seconds, of which the last tenth of each recording is for dev.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from daisy.common import audio
from daisy.common.audio import SAMPLE_RATE
from daisy.corpora.published.catalogue import CORPORA, Size
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import SpeechCommandsSettings
from daisy.corpora.published.tree import Fault, Listed, Made, Tree, count, differences, files_below, in_place, roots_of
from daisy.errors import DaisyError

NAME = "speech-commands"
WORDS, TESTS = "speech_commands_v0.01", "speech_commands_test_set_v0.01"
"""Folders below the root, named like the archives, which hold no folder of their own."""

LISTS = {"validation_list.txt": "validation", "testing_list.txt": ""}
"""The subset of a list's recordings; none for those that are left out."""

SPLITS = {"train": "train", "validation": "dev", "test": "test"}
"""By subset."""

NOISE, SILENCE = "_background_noise_", "_silence_"
DEV_SHARE = 0.1
"""Of the seconds of every recording of noise."""


def read_list(path: Path) -> list[str]:
    """The files that a list names, as ``bed/00176480_nohash_0.wav``.

    Raises:
        DaisyError: if the list is missing or damaged.
    """
    if not path.is_file():
        raise DaisyError(
            "the list of recordings is not there", file=path, fix="Unpack the archive again: the list is part of it"
        )
    names = path.read_text(encoding="utf-8").splitlines()
    for number, name in enumerate(names, start=1):
        if not re.fullmatch(r"[^/\s]+/[^/\s]+\.wav", name):
            raise DaisyError(f"line {number} is {name!r}", file=path, fix="Write word/file.wav")
    return names


def spoken(folder: Path, place: str, subsets: dict[str, str]) -> Iterator[Listed]:
    """The recordings of words below a folder.

    Args:
        folder: That of words or classes.
        place: The same below the corpus's ``audio/``.
        subsets: The subset of every listed file; others are of ``train``, or of ``test`` in the folder of tests.
    """
    rest = "test" if place == TESTS else "train"
    for path in files_below(folder, ".wav"):
        name = path.relative_to(folder).as_posix()
        word, _, file = name.partition("/")
        subset = subsets.get(name, rest)
        if word != NOISE and subset:
            speaker = re.sub(r"(_nohash_.*)?\.wav$", "", file)
            inside = f"{place}/{name}"
            yield Listed(inside.removesuffix(".wav"), path, inside, subset, SPLITS[subset], speaker, word)


def silence(path: Path) -> list[Listed]:
    """The seconds of a recording of noise, each a recording of its own.

    Raises:
        DaisyError: if it cannot be read.
    """
    seconds = audio.header(path).samples // SAMPLE_RATE
    held_out = round(seconds * DEV_SHARE)
    return [
        Listed(
            f"{SILENCE}/{path.stem}-{number:03d}",
            path,
            "",
            NOISE,
            "dev" if number >= seconds - held_out else "train",
            path.stem,
            SILENCE,
            piece=(number * SAMPLE_RATE, SAMPLE_RATE),
        )
        for number in range(seconds)
    ]


def read(settings: SpeechCommandsSettings) -> Tree:
    """The recordings of all splits.

    Raises:
        DaisyError: if a folder or a list is not there at all, or a list is damaged.
    """
    corpus = CORPORA[NAME]
    words, tests = (root / part for part, root in roots_of(settings.root, (WORDS, TESTS), NAME).items())
    listed: list[Listed] = []
    faults: list[Fault] = []
    subsets = {name: subset for file, subset in LISTS.items() for name in read_list(words / file)}
    for name in sorted(subsets):
        if not (words / name).is_file():
            faults.append(Fault(f"{WORDS}/{name}", "a list names it, but it is not there"))
    for folder in (words, tests):
        listed += spoken(folder, folder.name, subsets if folder == words else {})
    census = {subset: Size(size.files) for subset, size in count(listed, SPLITS).items()}
    noises = list(files_below(words / NOISE, ".wav")) if (words / NOISE).is_dir() else []
    for path in noises:
        try:
            listed += silence(path)
        except DaisyError as error:
            faults.append(Fault(f"{WORDS}/{NOISE}/{path.name}", error.problem))
    census[NOISE] = Size(len(noises))
    return Tree(listed, faults + differences(census, corpus.sizes), census, {WORDS: words, TESTS: tests})


def maker(_: SpeechCommandsSettings, folder: Path) -> Callable[[Listed], Made]:
    """What tries the words where they lie, and writes the seconds of silence into ``audio/``."""

    def make(item: Listed) -> Made:
        if item.piece is None:
            return in_place(item)
        first, samples = item.piece
        audio.write(folder / f"{item.id}.flac", audio.read(item.path)[first : first + samples].numpy())
        return samples, ()

    return make


READER = Reader(NAME, SpeechCommandsSettings, read, maker)
