"""How much disk a stage takes, from how much audio it works on. Standard library only, for the Snakefile.

Sizes are those of the bulk: states, drawn frames, labels and the audio that is made. Tables, models and logs are small.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from daisy.hubert.shape import Shape

SAMPLE_RATE = 16_000

FLAC = SAMPLE_RATE * 2 * 0.6
"""Bytes of a second of speech in FLAC, by a typical ratio."""

LABEL = 4.0
"""Bytes of a frame's label as text."""

KINDS = {"float16": 2, "float32": 4}


class Audio(NamedTuple):
    """Recordings and their length.

    Attributes:
        recordings: How many.
        seconds: How long in all.
    """

    recordings: int
    seconds: float


EXPECTED: Mapping[str, Mapping[str, Audio]] = {
    "librispeech": {"train": Audio(281_241, 960.9 * 3600), "dev": Audio(2_703, 19_396), "test": Audio(2_620, 19_453)},
    "librispeech-10h": {"train": Audio(2_763, 36_000), "dev": Audio(2_703, 19_396), "test": Audio(2_620, 19_453)},
    "voxceleb1": {"train": Audio(13_761, 113_500), "dev": Audio(6_904, 57_000), "test": Audio(8_251, 68_000)},
    "voicebank-demand": {"train": Audio(10_802, 31_650), "dev": Audio(770, 2_260), "test": Audio(824, 2_070)},
    "libri2mix": {"train": Audio(13_900, 208_800), "dev": Audio(3_000, 39_600), "test": Audio(3_000, 39_600)},
    # A second each, and some shorter; silence with them.
    "speech-commands": {"train": Audio(51_448, 50_600), "dev": Audio(6_838, 6_750), "test": Audio(3_081, 3_050)},
    "librispeech-100h": {"train": Audio(28_539, 362_200), "dev": Audio(2_703, 19_396), "test": Audio(2_620, 19_453)},
    "musan": {"test": Audio(2_016, 109 * 3600)},
}
"""Published corpora in the paper's use, by their makers' hours, before any draw; for a plan before the manifests are
made."""

PACKAGES: Mapping[str, tuple[int, int, float]] = {
    "asterisk-core-sounds-en-g722": (1, 553, 1456),
    "asterisk-core-sounds-es-g722": (1, 512, 1786),
    "asterisk-core-sounds-fr-g722": (1, 546, 1487),
    "asterisk-core-sounds-it-g722": (1, 576, 1355),
    "asterisk-core-sounds-ru-g722": (1, 559, 1413),
    "klettres-data": (20, 1820, 3069),
    "ktuberling-data": (23, 1820, 1888),
}
"""Speakers, recordings and seconds of the embedded speech, by package."""

MADE_SECONDS: Mapping[str, float] = {"asr": 2.4, "pr": 2.4, "se": 2.25, "ss": 1.4}
"""Mean length of the recordings that the project makes, with the mixtures' lengths of `config/config.yaml`."""


def embedded(packages: Sequence[str], most: int = 0, longest: float = 0.0) -> Audio:
    """The embedded speech.

    Args:
        packages: Where it is from; all of them if empty.
        most: Recordings of one speaker; 0 for all.
        longest: Seconds of a recording, at most; 0 for no such limit.
    """
    chosen = [PACKAGES[name] for name in packages or PACKAGES if name in PACKAGES]
    counts = [min(count, speakers * (most or count)) for speakers, count, _ in chosen]
    means = [min(seconds / count, longest or seconds) for _, count, seconds in chosen]
    return Audio(sum(counts), sum(count * mean for count, mean in zip(counts, means, strict=True)))


def expected(corpus: str, part: str, drawn: int = 0) -> Audio:
    """What of a published corpus comes into a split; nothing of another corpus.

    Args:
        corpus: Its name.
        part: ``train``, ``dev`` or ``test``.
        drawn: How many recordings the config draws; 0 for all.
    """
    whole = EXPECTED.get(corpus, {}).get(part, Audio(0, 0.0))
    count = min(drawn or whole.recordings, whole.recordings)
    return Audio(count, whole.seconds * count / max(1, whole.recordings))


def audio_of(summary: Path, corpus: str, part: str, drawn: int = 0, share: float = 1.0) -> Audio:
    """The recordings of a split: by its manifest, or before that is made by what is expected of a published corpus.

    Args:
        summary: The manifests' ``summary.csv``.
        corpus: The published corpus, or anything else.
        part: ``train``, ``dev`` or ``test``.
        drawn: How many recordings of the published corpus the config draws; 0 for all.
        share: Of these, the share that a task uses.

    Returns:
        Nothing at all where neither tells.
    """
    if summary.is_file():
        with open(summary, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["split"] == part:
                    return Audio(int(row["recordings"]), float(row["minutes"]) * 60)
    whole = expected(corpus, part, drawn)
    return Audio(round(whole.recordings * share), whole.seconds * share)


def _frames(audio: Audio, shape: Shape) -> float:
    return audio.seconds * SAMPLE_RATE / shape.hop


def states(audio: Audio, shape: Shape, storage: str, *, pooled: bool) -> float:
    """Bytes of the states of a split."""
    frames = audio.recordings if pooled else _frames(audio, shape)
    return frames * (shape.layers + 1) * shape.dim * KINDS[storage]


def drawn_frames(audio: Audio, shape: Shape, utterances: float, share: float, shards: int) -> float:
    """Bytes of one shard of the frames that are drawn for k-means."""
    return _frames(audio, shape) * utterances * share * shape.dim * 4 / shards


def labels(audio: Audio, shape: Shape) -> float:
    """Bytes of the labels of a split."""
    return _frames(audio, shape) * LABEL


def flac(audio: Audio, signals: int = 1) -> float:
    """Bytes of recordings as FLAC."""
    return audio.seconds * FLAC * signals


def megabytes(size: float) -> int:
    """Bytes as Snakemake's resource `disk_mb` has them: whole, and at least one."""
    return max(1, math.ceil(size / 1e6))
