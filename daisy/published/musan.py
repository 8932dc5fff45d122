"""MUSAN: music, speech and noise, to be mixed with test recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from daisy.published.catalogue import CORPORA
from daisy.published.reader import Reader
from daisy.published.tree import Listed, Tree, count, differences, files_below, root_of

NAME = "musan"
KINDS = ("music", "speech", "noise")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the config says about this corpus.

    Attributes:
        root: The folder ``musan``, or the one that holds it.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    faults: Literal["stop", "leave-out"]


def read(settings: Settings) -> Tree:
    """All recordings, for tests alone: no task trains on them.

    Raises:
        DaisyError: if a kind is not there at all.
    """
    corpus = CORPORA[NAME]
    listed = []
    root = Path(settings.root)
    for kind in KINDS:
        root = root_of(settings.root, kind, f"data.published.{NAME}.root", corpus.obtain)
        for path in files_below(root / kind, ".wav"):
            inside = f"musan/{path.relative_to(root)}"
            listed.append(Listed(inside.removesuffix(".wav"), path, inside, kind, "test", kind))
    # A kind of noise is no speaker.
    census = {kind: dataclasses.replace(size, speakers=None) for kind, size in count(listed, KINDS).items()}
    return Tree(listed, differences(census, corpus.sizes), census, {"musan": root})


READER = Reader(NAME, Settings, read)
