"""MUSAN: music, speech and noise, to be mixed with test recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import MusanSettings
from daisy.corpora.published.tree import Listed, Tree, count, differences, files_below, roots_of

NAME = "musan"
KINDS = ("music", "speech", "noise")


def read(settings: MusanSettings) -> Tree:
    """All recordings, for tests alone: no task trains on them.

    Raises:
        DaisyError: if a kind is not there at all.
    """
    corpus = CORPORA[NAME]
    listed = []
    root = Path(settings.root)
    for kind, root in roots_of(settings.root, KINDS, NAME).items():
        for path in files_below(root / kind, ".wav"):
            inside = f"musan/{path.relative_to(root)}"
            listed.append(Listed(inside.removesuffix(".wav"), path, inside, kind, "test", kind))
    # A kind of noise is no speaker.
    census = {kind: dataclasses.replace(size, speakers=None) for kind, size in count(listed, KINDS).items()}
    return Tree(listed, differences(census, corpus.sizes), census, {"musan": root})


READER = Reader(NAME, MusanSettings, read)
