"""VoiceBank-DEMAND with 28 speakers: clean and noisy speech in pairs, at 48 kHz or prepared at 16 kHz."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from daisy.common import audio
from daisy.common.audio import SAMPLE_RATE
from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.draw import drawn
from daisy.corpora.published.reader import Reader
from daisy.corpora.published.settings import VoiceBankDemandSettings
from daisy.corpora.published.tree import (
    Fault,
    Listed,
    Made,
    Tree,
    count,
    differences,
    files_below,
    roots_of,
)
from daisy.errors import DaisyError

NAME = "voicebank-demand"
SETS = {"trainset_28spk": "train", "testset": "test"}
ENDINGS = ("_wav_16k", "_wav")
"""Folders prepared at 16 kHz go before the original ones."""


def folders_of(root: str) -> dict[str, Path]:
    """The folders of noisy and clean recordings of both sets.

    Raises:
        DaisyError: if any is not there.
    """
    chosen = {}
    for kind in (f"{kind}_{name}" for name in SETS for kind in ("noisy", "clean")):
        names = [f"{kind}{ending}" for ending in ENDINGS]
        chosen[kind] = next((folder for folder in names if (Path(root) / folder).is_dir()), names[-1])
    roots = roots_of(root, chosen.values(), NAME)
    return {kind: roots[folder] / folder for kind, folder in chosen.items()}


def pairs(folders: Mapping[str, Path], name: str, split: str) -> tuple[list[Listed], list[Fault]]:
    """Noisy recordings of a set with their clean references."""
    noisy, clean = (
        {path.stem: path for path in files_below(folders[f"{kind}_{name}"], ".wav")} for kind in ("noisy", "clean")
    )
    both = sorted(set(noisy) & set(clean))
    listed = [Listed(f"{name}/{stem}", noisy[stem], "", name, split, stem.split("_")[0]) for stem in both]
    listed = [dataclasses.replace(item, sources=(clean[item.path.stem],)) for item in listed]
    alone = [(stem, "clean") for stem in set(noisy) - set(clean)] + [
        (stem, "noisy") for stem in set(clean) - set(noisy)
    ]
    return listed, [Fault(f"{name}/{stem}", f"its {kind} recording is not there") for stem, kind in sorted(alone)]


def read(settings: VoiceBankDemandSettings) -> Tree:
    """The pairs of all three splits, train and dev drawn as MiniSUPERB draws them.

    Raises:
        DaisyError: if folders are missing, or the dev speakers are none of the training set's.
    """
    listed: list[Listed] = []
    faults: list[Fault] = []
    folders = folders_of(settings.root)
    for name, split in SETS.items():
        items, wrong = pairs(folders, name, split)
        listed, faults = listed + items, faults + wrong
    census = count(listed, SETS)
    faults += differences(census, CORPORA[NAME].sizes)
    dev = [item for item in listed if item.split == "train" and item.speaker in settings.dev_speakers]
    if not dev:
        raise DaisyError(
            f"no training recording is by {' or '.join(settings.dev_speakers)}",
            file=settings.root,
            fix=f"Correct data.published.{NAME}.dev_speakers",
        )
    rest = [item for item in listed if item.split == "train" and item.speaker not in settings.dev_speakers]
    dev = [dataclasses.replace(item, split="dev") for item in dev]
    chosen: list[Listed] = []
    for items, wanted in ((rest, settings.train), (dev, settings.dev)):
        names = drawn([item.path.stem for item in items], wanted, settings.seed)
        chosen += [item for item in items if item.path.stem in names]
    return Tree(chosen + [item for item in listed if item.split == "test"], faults, census)


def at_16_khz(path: Path) -> np.ndarray:
    """(samples,) of a recording of any rate, resampled.

    Raises:
        DaisyError: if it cannot be read, or is not mono.
    """
    from daisy.common.torchaudio_shim import torchaudio  # here: who asks whether a corpus is there needs no torch

    rate = audio.header(path, to_end=False).rate
    return torchaudio.functional.resample(audio.read(path, rate=rate), rate, SAMPLE_RATE).numpy()


def resampled(settings: VoiceBankDemandSettings, out: Path) -> Callable[[Listed], Made]:
    """What writes a pair at 16 kHz below `out`."""

    def make(item: Listed) -> Made:
        noisy, clean = at_16_khz(item.path), at_16_khz(item.sources[0])
        if len(noisy) != len(clean):
            problem = f"{len(noisy)} samples, but {len(clean)} in {item.sources[0]}"
            raise DaisyError(problem, file=item.path, fix="Restore both")
        reference = f"{item.id}-clean.flac"
        audio.write(out / f"{item.id}.flac", noisy)
        audio.write(out / reference, clean)
        return len(noisy), (reference,)

    return make


READER = Reader(NAME, VoiceBankDemandSettings, read, resampled)
