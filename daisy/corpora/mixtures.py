"""What the corpora of mixtures share: choosing and reading recordings, and writing mixtures with their references.

A recording stays in the part, train, dev or test, that `daisy.corpora.partition` gives it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from daisy.common import audio
from daisy.common.audio import SAMPLE_RATE
from daisy.common.progress import Progress
from daisy.corpora.partition import PARTS
from daisy.corpora.settings import MixingSettings
from daisy.corpora.table import Recording, write_table


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A mixture, ready to be written.

    Attributes:
        name: Unique in its part.
        speaker: Who speaks.
        source: What was mixed.
        mixture: (samples,).
        references: What it was mixed from, by the name of a folder; each (samples,).
    """

    name: str
    speaker: str
    source: str
    mixture: np.ndarray
    references: Mapping[str, np.ndarray]


def usable(recordings: Sequence[Recording], seconds: tuple[float, float]) -> list[Recording]:
    """Recordings that are neither too short nor too long."""
    low, high = (value * SAMPLE_RATE for value in seconds)
    return [item for item in recordings if low <= item.samples <= high]


class Reader:
    """Reads recordings of a corpus.

    Args:
        table: The corpus's table; ``audio/`` lies beside it.
        keep: Whether recordings stay in memory.
    """

    def __init__(self, table: Path, *, keep: bool = False) -> None:
        self.folder, self.keep = table.parent / "audio", keep
        self._kept: dict[str, np.ndarray] = {}

    def __call__(self, item: Recording) -> np.ndarray:
        """(samples,) of one recording."""
        if item.id in self._kept:
            return self._kept[item.id]
        wave = audio.read(self.folder / item.path, samples=item.samples).numpy()
        if self.keep:
            self._kept[item.id] = wave
        return wave


def write_part(out: Path, part: str, mixtures: Iterator[Mixture], folder: str, count: int) -> list[Recording]:
    """Write mixtures and references of one part under ``out/audio``, and describe them."""
    rows = []
    progress = Progress(f"{part}, {out.name}", count, "mixtures")
    for item in mixtures:
        audio.write(out / "audio" / part / folder / f"{item.name}.flac", item.mixture)
        names = {kind: f"{part}/{kind}/{item.name}.flac" for kind in item.references}
        for kind, wave in item.references.items():
            audio.write(out / "audio" / names[kind], wave)
        rows.append(
            Recording(
                f"{part}/{folder}/{item.name}",
                len(item.mixture),
                item.speaker,
                split=part,
                source=item.source,
                references=";".join(names.values()),
            )
        )
        progress.add()
    return rows


def write_corpus(table: Path, settings: MixingSettings, folder: str, make: Callable[[str], Iterator[Mixture]]) -> None:
    """Write the mixtures that `make` gives for each part, in ``audio/<part>/<folder>``, and their table."""
    rows: list[Recording] = []
    for part in PARTS:
        rows += write_part(table.parent, part, make(part), folder, getattr(settings, part))
    write_table(table, rows)
