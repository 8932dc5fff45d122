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


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a step takes: waves (B, N), labels (B, T) and the mask (B, T)."""

    waves: Tensor
    labels: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(value.to(device, non_blocking=True) for value in (self.waves, self.labels, self.mask)))


@dataclasses.dataclass(frozen=True)
class Data:
    """Recordings with a class per frame.

    Attributes:
        manifest: The recordings.
        labels: (T,) of each.
        settings: Of the training.
        tracks: Recordings of noise; None for none.
    """

    manifest: Manifest
    labels: Sequence[np.ndarray]
    settings: TrainSettings
    tracks: Manifest | None = None

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
        frames = _SHAPE.frames(samples)
        waves, labels = [], []
        for index in group:
            begin = int(chance.integers((self.manifest.utterances[index].samples - samples) // _SHAPE.hop + 1))
            waves.append(self.manifest.wave(index).numpy()[begin * _SHAPE.hop :][:samples])
            labels.append(self.labels[index][begin : begin + frames])
        if changed:
            waves = augment(waves, self.settings.augment, chance, self._track if self.tracks else None)
        mask = span_mask(len(group), frames, self.settings, chance)
        return Batch(*(torch.from_numpy(np.stack(list(part))) for part in (waves, labels, mask)))

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
    classes = read_labels(labels, [_SHAPE.frames(item.samples) for item in found.utterances])
    highest = max(int(item.max(initial=0)) for item in classes)
    if highest >= settings.classes:
        raise DaisyError(f"the class {highest} of {settings.classes}", file=labels, fix="Correct the number of classes")
    return Data(found, classes, settings, read_tracks(tracks) if tracks else None)
