"""What reading all published corpora shares: a tree is listed, its audio is tried or made, and faults are told.

Every recording is decoded once, before anything is computed: a file cut short in the middle is found here, and
not after days. What is missing or damaged stops the stage, or is left out and listed, as the config says.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from daisy.common import audio
from daisy.common.audio import SAMPLE_RATE
from daisy.common.files import write_csv
from daisy.common.progress import Progress
from daisy.corpora.links import link_roots
from daisy.corpora.published.catalogue import CORPORA, Size
from daisy.corpora.table import Recording, write_table
from daisy.errors import DaisyError, WriteError

TOLD = 20
"""So many faults are printed; the table has them all."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """A recording that a corpus has by its lists and folders.

    Attributes:
        id: Unique in the corpus.
        path: The audio file, where it lies.
        file: The same below the corpus's ``audio/``; empty if the stage writes a file of its own.
        subset: As the makers' counts know it.
        split: ``train``, ``dev`` or ``test``.
        speaker: Who speaks; of noise, its kind.
        text: What is said, in lower case.
        sources: Of a mixture, the files that it is made from.
        gains: What each of them is multiplied by.
        piece: Of a part of a longer recording, its first sample and its length.
    """

    id: str
    path: Path
    file: str
    subset: str
    split: str
    speaker: str
    text: str = ""
    sources: tuple[Path, ...] = ()
    gains: tuple[float, ...] = ()
    piece: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something of a corpus that is missing or damaged.

    Attributes:
        id: The recording, or the subset or list that lacks something.
        reason: What is wrong.
    """

    id: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Tree:
    """A corpus as its folders and lists have it; no audio is read yet.

    Attributes:
        listed: Its recordings.
        faults: What lists and folders alone show to be wrong.
        census: What there is of every subset, whether it is used or not.
        roots: Folders that become links in ``audio/``, by the link's name.
    """

    listed: list[Listed]
    faults: list[Fault]
    census: dict[str, Size]
    roots: dict[str, Path] = dataclasses.field(default_factory=dict)


Made = tuple[int, tuple[str, ...]]
"""Length of a recording in samples, and its references below ``audio/``."""


def roots_of(root: str, parts: Collection[str], name: str) -> dict[str, Path]:
    """For each part of a corpus the folder that holds it: `root` itself, or one of an archive's name below it.

    Args:
        root: From the config.
        parts: Folders or files that must be there.
        name: The corpus whose parts they are.

    Raises:
        DaisyError: if any is missing; it names all that are.
    """
    folders = [Path(root), *sorted(path for path in Path(root).glob("*") if path.is_dir())]
    roots = {part: folder for part in parts for folder in reversed(folders) if (folder / part).exists()}
    absent = [part for part in parts if part not in roots]
    if absent:
        raise DaisyError(
            f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not there",
            file=root,
            fix=f"Correct data.published.{name}.root, or set data.published.download: true. {CORPORA[name].obtain}",
        )
    return roots


def files_below(folder: Path, ending: str) -> Iterator[Path]:
    """Files with an ending below `folder`, in a fixed order; faster than a glob on network file systems."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.is_dir():
            yield from files_below(Path(entry.path), ending)
        elif entry.name.endswith(ending):
            yield Path(entry.path)


def in_place(item: Listed) -> Made:
    """Try a recording that is used where it lies."""
    return len(audio.read(item.path)), ()


def make_all(
    items: Sequence[Listed], make: Callable[[Listed], Made], label: str, threads: int
) -> tuple[dict[str, Made], list[Fault]]:
    """Try or make every recording, several at a time; which of them cannot be used, and why."""
    made: dict[str, Made] = {}
    faults: list[Fault] = []
    progress = Progress(label, len(items), "recordings")

    def tried(item: Listed) -> Made | Fault:
        try:
            return make(item)
        except WriteError:
            raise
        except DaisyError as error:
            return Fault(item.id, f"{error.file or item.path}: {error.problem}")

    with ThreadPoolExecutor(threads) as pool:
        for item, outcome in zip(items, pool.map(tried, items), strict=True):
            if isinstance(outcome, Fault):
                faults.append(outcome)
            else:
                made[item.id] = outcome
            progress.add()
    return made, faults


def count(items: Iterable[Listed], subsets: Iterable[str]) -> dict[str, Size]:
    """Recordings and speakers of every subset."""
    files: collections.Counter[str] = collections.Counter()
    speakers: dict[str, set[str]] = collections.defaultdict(set)
    for item in items:
        files[item.subset] += 1
        speakers[item.subset] |= set(item.speaker.split("+"))
    return {subset: Size(files[subset], None, len(speakers[subset])) for subset in subsets}


def differences(census: Mapping[str, Size], published: Mapping[str, Size]) -> list[Fault]:
    """Subsets that hold fewer recordings or speakers than their makers count, or more."""
    faults = []
    for subset, size in census.items():
        for what, here, there in (
            ("recordings", size.files, published[subset].files),
            ("speakers", size.speakers, published[subset].speakers),
        ):
            if there is not None and here != there:
                faults.append(Fault(subset, f"{here:,} {what}, but {there:,} are published"))
    return faults


def answer(title: str, faults: Sequence[Fault], policy: Literal["stop", "leave-out"]) -> None:
    """Say what is wrong, and stop if the config says so.

    Raises:
        DaisyError: if there is a fault and `policy` is ``stop``.
    """
    if not faults:
        return
    for fault in faults[:TOLD]:
        print(f"{title}: {fault.id}: {fault.reason}", file=sys.stderr)
    if len(faults) > TOLD:
        print(f"{title}: and {len(faults) - TOLD} more", file=sys.stderr)
    if policy == "stop":
        raise DaisyError(
            f"{title} is not whole: {len(faults)} faults, {faults[0].id} ({faults[0].reason}) for one",
            fix="Mend it (`daisy data check` lists all that is wrong), or set data.published.faults: leave-out to use "
            "what is there",
        )
    print(f"{title}: {len(faults)} faults are left out, as data.published.faults says", file=sys.stderr)


def write_corpus(
    table: Path, title: str, tree: Tree, made: Mapping[str, Made], faults: Sequence[Fault], source: str
) -> None:
    """Write a corpus's table, its links and the list of what was left out.

    Raises:
        DaisyError: if nothing is left.
    """
    if not made:
        raise DaisyError(f"{title} has no usable recording", file=table, fix="Correct data.published, or mend it")
    link_roots(table.parent / "audio", tree.roots)
    rows = [
        Recording(
            item.id,
            made[item.id][0],
            item.speaker,
            item.text,
            item.split,
            source,
            ";".join(made[item.id][1]),
            "" if item.file in ("", f"{item.id}.flac") else item.file,
        )
        for item in tree.listed
        if item.id in made
    ]
    write_csv(table.with_name("dropped.csv"), ("id", "reason"), map(dataclasses.asdict, faults))
    write_table(table, rows)
    hours = sum(row.samples for row in rows) / SAMPLE_RATE / 3600
    print(f"{title}: {len(rows):,} recordings, {hours:.2f} hours, {len(faults)} left out")
