"""The batches of the pre-training: recordings of nearly one length and their classes, cut, augmented and masked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daisy.common.audio import SAMPLE_RATE
from daisy.common.seeds import generator
from daisy.corpora.table import read_table
from daisy.corpora.utterances import Manifest, Utterance, read_manifest
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.pretraining.augment import augment
from daisy.pretraining.masked import span_mask
from daisy.pretraining.settings import TrainSettings
from daisy.targets.km import read_labels

STEP = SAMPLE_RATE // 4
"""Lengths are rounded down to multiples of this before they are compared, so that who shares a batch varies."""

LONGER = 1.25
"""So many times as long as its shortest recording may one of a batch be, of which the rest is cut away."""

_SHAPE = HubertConfig()


def frames_of(samples: int) -> int:
    """Frames of a recording."""
    return _SHAPE.frames(samples)


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a step takes: waves (B, N) or what the front end made of them (B, T, C), labels (B, T), the mask (B, T)."""

    inputs: Tensor
    labels: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(value.to(device, non_blocking=True) for value in (self.inputs, self.labels, self.mask)))


@dataclasses.dataclass(frozen=True)
class Kept:
    """What the front end made of all recordings, one behind the other.

    Attributes:
        copies: (frames, C) each.
        ends: Where each recording begins, and where the last one ends.
    """

    copies: tuple[np.ndarray, ...]
    ends: np.ndarray

    def part(self, index: int, begin: int, frames: int, chance: np.random.Generator) -> np.ndarray:
        """Frames (T, C) of a recording, of a copy that is drawn."""
        copy = self.copies[chance.integers(len(self.copies))]
        return copy[self.ends[index] + begin :][:frames].astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Data:
    """Recordings with a class per frame.

    Attributes:
        manifest: The recordings.
        labels: (T,) of each.
        settings: Of the training.
        tracks: Recordings of noise; None for none.
        kept: What the front end made of the recordings, if that is kept.
    """

    manifest: Manifest
    labels: Sequence[np.ndarray]
    settings: TrainSettings
    tracks: Manifest | None = None
    kept: Kept | None = None

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Samples of each recording that a batch takes at most."""
        samples = np.array([item.samples for item in self.manifest.utterances])
        return np.minimum(samples, round(self.settings.max_seconds * SAMPLE_RATE))

    def groups(self, *names: str | int) -> list[list[int]]:
        """Every recording once, in batches of nearly one length, which are drawn for an epoch that `names` name."""
        lengths, chance = self.lengths, generator(self.settings.seed, "order", *names)
        shuffled = chance.permutation(len(lengths))
        bound = self.settings.batch_seconds * SAMPLE_RATE
        result: list[list[int]] = []
        for index in shuffled[np.argsort(lengths[shuffled] // STEP, kind="stable")]:
            shortest = lengths[result[-1][0]] if result else 0
            if lengths[index] > LONGER * shortest or (len(result[-1]) + 1) * shortest > bound:
                result.append([])
            result[-1].append(int(index))
        return [result[place] for place in chance.permutation(len(result))]

    def order(self) -> Iterator[list[int]]:
        """Batches without end, epoch by epoch."""
        epoch = 0
        while True:
            yield from self.groups(epoch)
            epoch += 1

    def batch(self, group: Sequence[int], changed: bool, *names: str | int) -> Batch:
        """Read recordings, cut to the length of the shortest, augmented if `changed`; `names` name the draws."""
        chance = generator(self.settings.seed, "batch", *names)
        samples = int(min(self.lengths[index] for index in group))
        frames = frames_of(samples)
        inputs, labels = [], []
        for index in group:
            begin = int(chance.integers((self.manifest.utterances[index].samples - samples) // _SHAPE.hop + 1))
            if self.kept:
                inputs.append(self.kept.part(index, begin, frames, chance))
            else:
                inputs.append(self.manifest.wave(index).numpy()[begin * _SHAPE.hop :][:samples])
            labels.append(self.labels[index][begin : begin + frames])
        if changed and not self.kept:
            inputs = self.augmented(inputs, chance)
        mask = span_mask(len(group), frames, self.settings, chance)
        return Batch(*(torch.from_numpy(np.stack(list(part))) for part in (inputs, labels, mask)))

    def augmented(self, waves: Sequence[np.ndarray], chance: np.random.Generator) -> list[np.ndarray]:
        """Recordings (N,) with their share of noise, other speech of the same ones, and rooms."""
        return augment(waves, self.settings.augment, chance, self._track if self.tracks else None)

    def _track(self, chance: np.random.Generator) -> np.ndarray:
        assert self.tracks is not None
        return self.tracks.wave(int(chance.integers(len(self.tracks)))).numpy()


def read_tracks(table: Path) -> Manifest:
    """The training part of a corpus of noise, of which `table` tells; its audio lies beside it.

    Raises:
        DaisyError: if it has none.
    """
    found = [item for item in read_table(table) if item.split == "train"]
    if not found:
        raise DaisyError("no noise to train with", file=table, fix="Give recordings the split train")
    return Manifest(table.parent / "audio", tuple(Utterance(item.id, item.path, item.samples) for item in found))


def read_data(manifest: Path, labels: Path, settings: TrainSettings, tracks: Path | None = None) -> Data:
    """Recordings with their labels, checked against each other, and noise."""
    found = read_manifest(manifest)
    classes = read_labels(labels, [frames_of(item.samples) for item in found.utterances])
    highest = max(int(item.max(initial=0)) for item in classes)
    if highest >= settings.classes:
        raise DaisyError(f"the class {highest} of {settings.classes}", file=labels, fix="Correct the number of classes")
    return Data(found, classes, settings, read_tracks(tracks) if tracks else None)
