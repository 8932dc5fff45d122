"""Libri2Mix at 16 kHz, min mode, clean: mixed from LibriSpeech by the tables of its makers.

As their script `create_librimix_from_metadata.py` does: each source times its gain, all as long as the shortest,
and their sum. The gains hold the loudness that the makers drew, so nothing is measured here.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from daisy.common import audio
from daisy.corpora.published.catalogue import CORPORA, Size
from daisy.corpora.published.draw import drawn
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import Libri2MixSettings
from daisy.corpora.published.tree import Fault, Listed, Made, Tree, count, differences, roots_of
from daisy.errors import DaisyError

NAME = "libri2mix"
SUBSETS = {"train-clean-100": "train", "dev-clean": "dev", "test-clean": "test"}
COLUMNS = ("mixture_ID", "source_1_path", "source_1_gain", "source_2_path", "source_2_gain")


def mixtures(table: Path, librispeech: Path, subset: str) -> tuple[list[Listed], list[Fault]]:
    """The mixtures of one table.

    Raises:
        DaisyError: if the table is damaged.
    """
    listed, faults = [], []
    with open(table, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise DaisyError(f"its columns are {reader.fieldnames}", file=table, fix=CORPORA[NAME].obtain)
        for number, row in enumerate(reader, start=2):
            try:
                gains = float(row["source_1_gain"]), float(row["source_2_gain"])
                names = Path(row["source_1_path"]), Path(row["source_2_path"])
                who = "+".join(name.parts[1] for name in names)
            except (TypeError, ValueError, IndexError):
                raise DaisyError(f"line {number} is damaged: {row}", file=table, fix=CORPORA[NAME].obtain) from None
            paths = librispeech / names[0], librispeech / names[1]
            missing = [str(name) for name, path in zip(names, paths, strict=True) if not path.is_file()]
            inside = f"{subset}/mix_clean/{row['mixture_ID']}"
            if missing:
                faults.append(Fault(inside, f"LibriSpeech's {missing[0]} is not there"))
            else:
                listed.append(Listed(inside, table, "", subset, SUBSETS[subset], who, sources=paths, gains=gains))
    return listed, faults


def read(settings: Libri2MixSettings) -> Tree:
    """The mixtures of all three splits, of train and dev those that MiniSUPERB draws.

    Raises:
        DaisyError: if a table or a subset of LibriSpeech is not there.
    """
    listed: list[Listed] = []
    faults: list[Fault] = []
    census: dict[str, Size] = {}
    wanted = {"train": settings.train, "dev": settings.dev}
    tables = {subset: f"libri2mix_{subset}.csv" for subset in SUBSETS}
    folders = roots_of(settings.root, tables.values(), NAME)
    librispeech = roots_of(settings.librispeech, SUBSETS, "librispeech")
    for subset, split in SUBSETS.items():
        table = folders[tables[subset]] / tables[subset]
        items, wrong = mixtures(table, librispeech[subset], subset)
        census |= count(items, [subset])
        faults += wrong
        chosen = drawn([item.id for item in items], wanted.get(split, 0), settings.seed)
        listed += [item for item in items if item.id in chosen]
    return Tree(listed, faults + differences(census, CORPORA[NAME].sizes), census)


def mixed(settings: Libri2MixSettings, out: Path) -> Callable[[Listed], Made]:
    """What writes a mixture and its sources below `out`."""

    def make(item: Listed) -> Made:
        waves = [audio.read(path).numpy() for path in item.sources]
        samples = min(map(len, waves))
        sources = [wave[:samples] * np.float32(gain) for wave, gain in zip(waves, item.gains, strict=True)]
        names = tuple(f"{item.id.replace('/mix_clean/', f'/s{place}/')}.flac" for place in range(1, len(sources) + 1))
        audio.write(out / f"{item.id}.flac", np.add(*sources))
        for name, source in zip(names, sources, strict=True):
            audio.write(out / name, source)
        return samples, names

    return make


READER = Reader(NAME, Libri2MixSettings, read, mixed)
