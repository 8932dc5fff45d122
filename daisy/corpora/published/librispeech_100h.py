"""LibriSpeech's 100 hours with phones in place of words, for phoneme recognition; dev and test sets are LibriSpeech's.

A word is spelt by its first pronunciation in the lexicons, as s3prl does it. A recording with a word that none of them
has is a fault.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from daisy.corpora.lexicon import Lexicon, first_pronunciations, phones_of
from daisy.corpora.published import librispeech
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import LibriSpeech100hSettings
from daisy.corpora.published.tree import Fault, Listed, Tree
from daisy.errors import DaisyError

NAME = "librispeech-100h"
SUBSET = "train-clean-100"


def read_lexicons(paths: Iterable[Path]) -> Lexicon:
    """The pronunciations of some lexicons; the first that has a word decides.

    Raises:
        DaisyError: if one is missing or damaged.
    """
    found: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            fix = f"Correct data.published.{NAME}.lexicon, or set data.published.download: true"
            raise DaisyError("the lexicon is not there", file=path, fix=fix)
        try:
            found = first_pronunciations(path.read_text(encoding="utf-8").splitlines()) | found
        except DaisyError as error:
            raise DaisyError(error.problem, file=path, fix=error.fix) from None
    return found


def read(settings: LibriSpeech100hSettings) -> Tree:
    """The recordings of all splits.

    Raises:
        DaisyError: if a subset or a lexicon is not there at all, or a lexicon is damaged.
    """
    lexicon = read_lexicons(Path(settings.root) / name for name in settings.lexicon)
    splits = {SUBSET: "train", **dict.fromkeys(settings.dev, "dev"), **dict.fromkeys(settings.test, "test")}
    words = librispeech.subsets(settings.librispeech, splits)
    listed: list[Listed] = []
    faults = list(words.faults)
    for item in words.listed:
        try:
            listed.append(dataclasses.replace(item, text=phones_of(item.text, lexicon)))
        except DaisyError as error:
            faults.append(Fault(item.id, error.problem))
    return dataclasses.replace(words, listed=listed, faults=faults)


READER = Reader(NAME, LibriSpeech100hSettings, read)
