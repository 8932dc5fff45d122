"""VoxCeleb1, divided by MiniSUPERB's list: 11 recordings of every speaker to train on."""

from __future__ import annotations

from pathlib import Path

from daisy.common.contents import digest
from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import VoxCeleb1Settings
from daisy.corpora.published.tree import Fault, Listed, Tree, count, differences, roots_of
from daisy.errors import DaisyError

NAME = "voxceleb1"
SPLITS = {"1": "train", "2": "dev", "3": "test"}
"""The list's first column."""

PLACES = ("dev/wav", "test/wav", "wav")
"""Where archives and tools put the speakers' folders."""


def read_list(path: Path, sha256: str) -> list[tuple[str, str]]:
    """Split and file of every line.

    Raises:
        DaisyError: if the list is missing, is another one, or is damaged.
    """
    if not path.is_file():
        raise DaisyError(
            "the list of recordings is not there",
            file=path,
            fix=f"Correct data.published.{NAME}.list, or set data.published.download: true",
        )
    if sha256 and (actual := digest(path)) != sha256:
        raise DaisyError(
            f"the list's SHA-256 is {actual[:12]}..., not {sha256[:12]}...",
            file=path,
            fix=f"Take MiniSUPERB's list, or give the sum of your own as data.published.{NAME}.list_sha256",
        )
    result = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        kind, _, name = line.strip().partition(" ")
        if kind not in SPLITS or name.count("/") != 2:
            raise DaisyError(f"line {number} is {line!r}", file=path, fix="Write 1, 2 or 3, and speaker/video/file.wav")
        result.append((SPLITS[kind], name))
    return result


def read(settings: VoxCeleb1Settings) -> Tree:
    """The list's recordings.

    Raises:
        DaisyError: if there is no folder of recordings, or the list is wrong.
    """
    corpus = CORPORA[NAME]
    wanted = read_list(Path(settings.list), settings.list_sha256)
    places = [place for place in PLACES if (Path(settings.root) / place).is_dir()]
    if not places:
        roots_of(settings.root, PLACES[:1], NAME)
    listed, faults = [], []
    for split, name in wanted:
        path = next((path for place in places if (path := Path(settings.root) / place / name).is_file()), None)
        inside = f"VoxCeleb1/{name}"
        if path is None:
            faults.append(Fault(inside, "the list names it, but it is not there"))
        else:
            file = f"VoxCeleb1/{path.relative_to(settings.root)}"
            listed.append(Listed(inside.removesuffix(".wav"), path, file, split, split, name.split("/")[0]))
    census = count(listed, corpus.sizes)
    # What is published counts MiniSUPERB's list, not one's own.
    faults += differences(census, corpus.sizes) if settings.list_sha256 else []
    return Tree(listed, faults, census, {"VoxCeleb1": Path(settings.root)})


READER = Reader(NAME, VoxCeleb1Settings, read)
