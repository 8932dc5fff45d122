"""Manifests: which recordings a stage works on, in fairseq's format, with a table of labels beside it.

``NAME.tsv`` holds the audio folder on line 1 and then ``path<TAB>samples`` per recording;
``NAME.csv`` holds ``id,speaker,text`` in the same order, and ``references`` where recordings are mixtures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daisy.common import audio
from daisy.common.files import read_csv, write_csv, write_text
from daisy.errors import DaisyError

if TYPE_CHECKING:
    import torch

LABELS = ("id", "speaker", "text")
"""Columns that every table of labels has."""


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording of a manifest.

    Attributes:
        id: Its name in every table.
        path: The audio file, relative to the manifest's folder of audio.
        samples: Its length in samples.
        speaker: Who speaks.
        text: What is said; empty where nobody knows.
        references: For a mixture, the audio files of what it was mixed from, relative to the same folder.
    """

    id: str
    path: str
    samples: int
    speaker: str = ""
    text: str = ""
    references: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A list of recordings under one folder."""

    root: Path
    utterances: tuple[Utterance, ...]

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def seconds(self) -> float:
        """The recordings' length in all."""
        return sum(item.samples for item in self.utterances) / audio.SAMPLE_RATE

    def part(self, rank: int, parts: int) -> Manifest:
        """The consecutive recordings that are job `rank`'s, from 0, of `parts` jobs side by side."""
        first, last = (len(self) * place // parts for place in (rank, rank + 1))
        return dataclasses.replace(self, utterances=self.utterances[first:last])

    def wave(self, index: int) -> torch.Tensor:
        """(samples,) float32 of one recording, checked against the length in the manifest."""
        item = self.utterances[index]
        return audio.read(self.root / item.path, samples=item.samples)

    def references(self, index: int) -> torch.Tensor:
        """(references, samples) float32 of one mixture, each checked to be as long as the mixture."""
        import torch

        item = self.utterances[index]
        return torch.stack([audio.read(self.root / name, samples=item.samples) for name in item.references])


def write_manifest(path: Path, root: Path, utterances: Sequence[Utterance]) -> None:
    """Write ``path`` (.tsv) and its table of labels.

    Raises:
        DaisyError: if there is no utterance at all.
    """
    if not utterances:
        raise DaisyError("no recording belongs to this split", file=path, fix="Give the corpus more recordings")
    rows = [{name: getattr(item, name) for name in LABELS} for item in utterances]
    header: tuple[str, ...] = LABELS
    if any(item.references for item in utterances):
        header = (*LABELS, "references")
        rows = [{**row, "references": ";".join(item.references)} for row, item in zip(rows, utterances, strict=True)]
    write_csv(path.with_suffix(".csv"), header, rows)
    lines = [str(root.resolve()), *(f"{item.path}\t{item.samples}" for item in utterances)]
    write_text(path, "\n".join(lines) + "\n")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; without a table of labels an utterance's id is its path.

    Raises:
        DaisyError: if the file is missing, damaged or empty, or its labels are of another length.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DaisyError("the manifest does not exist", file=path, fix="Run the stage that makes it") from None
    if len(lines) < 2:
        raise DaisyError("the split is empty", file=path, fix="Give it at least one recording")
    labels_path = path.with_suffix(".csv")
    labels = read_csv(labels_path, columns=LABELS) if labels_path.exists() else None
    if labels is not None and len(labels) != len(lines) - 1:
        raise DaisyError(
            f"{len(labels)} rows for the {len(lines) - 1} recordings of {path.name}",
            file=labels_path,
            fix="Make the manifest again",
        )
    utterances = []
    for index, line in enumerate(lines[1:]):
        name, tab, samples = line.partition("\t")
        if not tab or not samples.isdigit():
            raise DaisyError(
                f"line {index + 2} is {line!r}", file=path, fix="Write a path, a tab and the number of samples"
            )
        extra = labels[index] if labels is not None else {"id": name}
        known = {key: extra[key] for key in LABELS if key in extra}
        references = tuple(item for item in (extra.get("references") or "").split(";") if item)
        utterances.append(Utterance(path=name, samples=int(samples), references=references, **known))
    return Manifest(Path(lines[0]), tuple(utterances))
