"""Libri-light's ten hours of transcribed LibriSpeech to train on, with LibriSpeech's own dev and test sets."""

from __future__ import annotations

from pathlib import Path

from daisy.corpora.published import librispeech
from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.librispeech import chapters
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import LibriSpeech10hSettings
from daisy.corpora.published.tree import Fault, Listed, Tree, count, differences, roots_of

NAME = "librispeech-10h"
FOLDER = "librispeech_finetuning"
PARTS = {"1h": "1h/*/*", "9h": "9h/*"}
"""Folders of speakers: ``1h/0`` to ``1h/5`` and ``9h``, each ``clean`` and ``other``."""


def read(settings: LibriSpeech10hSettings) -> Tree:
    """The ten hours for training, and the subsets for dev and test.

    Raises:
        DaisyError: if a part is not there at all.
    """
    corpus = CORPORA[NAME]
    listed: list[Listed] = []
    faults: list[Fault] = []
    folder = Path(settings.root)
    roots = roots_of(settings.root, PARTS, NAME)
    for part, pattern in PARTS.items():
        folder = roots[part]
        for speakers in sorted(path for path in folder.glob(pattern) if path.is_dir()):
            inside = f"{FOLDER}/{speakers.relative_to(folder)}"
            items, wrong = chapters(speakers, inside, part, "train")
            listed, faults = listed + items, faults + wrong
    census = count(listed, PARTS)
    faults += differences(census, corpus.sizes)
    splits = {**dict.fromkeys(settings.dev, "dev"), **dict.fromkeys(settings.test, "test")}
    held_out = librispeech.subsets(settings.librispeech, splits)
    return Tree(
        listed + held_out.listed,
        faults + held_out.faults,
        {**census, **held_out.census},
        {FOLDER: folder, **held_out.roots},
    )


READER = Reader(NAME, LibriSpeech10hSettings, read)
