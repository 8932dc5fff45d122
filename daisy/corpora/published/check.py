"""Whether the published corpora that a config uses are there and whole, against their makers' counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from daisy.common import audio, stage
from daisy.corpora.published import (
    libri2mix,
    librispeech,
    librispeech_10h,
    librispeech_100h,
    musan,
    speech_commands,
    voicebank_demand,
    voxceleb1,
)
from daisy.corpora.published.catalogue import CORPORA, Size, settings_of
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.tree import Fault, Listed
from daisy.errors import DaisyError

READERS: dict[str, Reader] = {
    module.READER.name: module.READER
    for module in (
        *(librispeech, librispeech_10h, librispeech_100h),
        *(voxceleb1, voicebank_demand, libri2mix, musan, speech_commands),
    )
}
"""The reader of every published corpus."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was found of one corpus.

    Attributes:
        corpus: Its name.
        census: What there is of every subset; hours are those of the recordings in use.
        published: What its makers count.
        faults: All that is missing or damaged.
        used: Recordings that the config uses.
    """

    corpus: str
    census: dict[str, Size]
    published: dict[str, Size]
    faults: list[Fault]
    used: int


def used_by(config: Mapping[str, Any]) -> list[str]:
    """The published corpora that a config names, each once."""
    tasks = ("speech", "noise", *config["tasks"])
    named = [config["data"]["corpora"].get(name) for name in tasks]
    return [name for name in dict.fromkeys(named) if name in CORPORA]


def check(name: str, published: Mapping[str, Any], *, decode: bool) -> Checked:
    """Look at one corpus.

    Args:
        name: The corpus.
        published: The config's `data.published`.
        decode: Whether every sample is decoded, rather than every header read.

    Raises:
        DaisyError: if it is not there at all, or one of its lists is wrong.
    """
    reader = READERS[name]
    tree = reader.read(stage.build(reader.settings, settings_of(name, published)))

    def seconds(path: Path) -> float:
        told = audio.header(path, to_end=not decode)
        return (len(audio.read(path, rate=told.rate)) if decode else told.samples) / told.rate

    def tried(item: Listed) -> tuple[float, Fault | None]:
        try:
            # A mixture lasts as long as its shortest source; of a pair both are tried.
            paths = (item.path, *item.sources) if item.path.suffix != ".csv" else item.sources
            length = min(map(seconds, paths))
            return (item.piece[1] / audio.SAMPLE_RATE if item.piece else length) / 3600, None
        except DaisyError as error:
            return 0.0, Fault(item.id, f"{error.file}: {error.problem}")

    hours: dict[str, float] = {}
    faults = list(tree.faults)
    with ThreadPoolExecutor(published["threads"]) as pool:
        for item, (length, fault) in zip(tree.listed, pool.map(tried, tree.listed), strict=True):
            hours[item.subset] = hours.get(item.subset, 0.0) + length
            faults += [fault] if fault else []
    census = {
        subset: dataclasses.replace(size, hours=round(hours.get(subset, 0.0), 2))
        for subset, size in tree.census.items()
    }
    sizes = {subset: _published(name, subset) for subset in census}
    return Checked(name, census, sizes, faults, len(tree.listed))


def _published(name: str, subset: str) -> Size:
    corpora = (name, "librispeech")
    return next(CORPORA[corpus].sizes[subset] for corpus in corpora if subset in CORPORA[corpus].sizes)


def render(checked: Sequence[Checked], most: int = 20) -> str:
    """The findings for people."""
    lines = []
    for item in checked:
        state = "whole" if not item.faults else f"{len(item.faults)} faults"
        lines.append(f"{CORPORA[item.corpus].title} ({CORPORA[item.corpus].licence}): {state}, {item.used:,} in use")
        for subset, size in item.census.items():
            there = item.published[subset]
            parts = [f"{_of(size.files, there.files)} recordings"]
            parts += [f"{_of(size.speakers, there.speakers)} speakers"] if size.speakers is not None else []
            parts += [f"{size.hours:g} h in use" + (f" of {there.hours:g}" if there.hours else "")]
            lines.append(f"  {subset}: {', '.join(parts)}")
        lines += [f"  - {fault.id}: {fault.reason}" for fault in item.faults[:most]]
        lines += [f"  - and {len(item.faults) - most} more"] if len(item.faults) > most else []
    return "\n".join(lines)


def _of(counted: int | None, published: int | None) -> str:
    return f"{counted:,}" if published is None else f"{counted:,} of {published:,}"
