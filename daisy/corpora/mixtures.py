"""Mix recordings of the embedded corpus into two corpora with known references, for SE and SS.

``enhancement``: clean prompts with noise, each mixture at one of a few signal-to-noise ratios.
``separation``: two speakers at once, as long as the shorter of them (min mode), without noise.

A recording stays in the part, train, dev or test, that `daisy.manifests.partition` gives it. Speakers of
the test mixtures speak in no mixture of train and dev, and noise of the test is heard in neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from daisy import audio, stage
from daisy.audio import SAMPLE_RATE
from daisy.corpora.table import Recording, read_table, write_table
from daisy.errors import DaisyError
from daisy.manifests import PARTS, partition
from daisy.manifests import Settings as Splits
from daisy.noise import PEAK, excerpt, mix, power
from daisy.progress import Progress
from daisy.seeds import generator

LEVELS = (-33.0, -25.0)
"""Range of a speaker's level in dB relative to full scale, drawn uniformly, as LibriMix draws loudness."""

TRIES = 1000
"""Draws of two recordings before the corpus counts as too small."""


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """Config of the noisy mixtures.

    Attributes:
        train: Mixtures to train on.
        dev: Mixtures to choose the model by.
        test: Mixtures to test on.
        speakers: Who speaks in train and dev.
        test_speakers: Who speaks in test.
        snr_db: Signal-to-noise ratios, each as often as the others.
    """

    train: int
    dev: int
    test: int
    speakers: tuple[str, ...]
    test_speakers: tuple[str, ...]
    snr_db: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Separation:
    """Config of the mixtures of two speakers.

    Attributes:
        train: Mixtures to train on.
        dev: Mixtures to choose the model by.
        test: Mixtures to test on.
        test_speakers: Who speaks in test; all others speak in train and dev.
    """

    train: int
    dev: int
    test: int
    test_speakers: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Config of this stage.

    Attributes:
        seed: Seed of all draws.
        splits: How recordings are divided.
        seconds: Shortest and longest recording that is mixed.
        enhancement: The noisy mixtures.
        separation: The mixtures of two speakers.
    """

    seed: int
    splits: Splits
    seconds: tuple[float, float]
    enhancement: Enhancement
    separation: Separation


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
        wave = audio.read(self.folder / f"{item.id}.flac", samples=item.samples).numpy()
        if self.keep:
            self._kept[item.id] = wave
        return wave


def noisy_mixtures(
    part: str,
    speech: Sequence[Recording],
    noise: Sequence[Recording],
    settings: Settings,
    readers: tuple[Reader, Reader],
) -> Iterator[Mixture]:
    """Noisy mixtures of one part: kinds of noise and ratios take turns, recordings are drawn.

    Args:
        part: ``train``, ``dev`` or ``test``.
        speech: The part's speech.
        noise: The part's noise.
        settings: Config of the stage.
        readers: Of the speech, and of the noise.
    """
    own = settings.enhancement
    speakers, count = own.test_speakers if part == "test" else own.speakers, getattr(own, part)
    chosen = [item for item in usable(speech, settings.seconds) if item.speaker in speakers]
    if not chosen:
        raise DaisyError(
            f"no recording of {', '.join(speakers)} in {part} lasts {settings.seconds[0]:g} to "
            f"{settings.seconds[1]:g} s",
            fix="Change data.mixtures.seconds or the speakers of data.mixtures.enhancement",
        )
    rng = generator(settings.seed, "enhancement", part)
    order = np.concatenate([rng.permutation(len(chosen)) for _ in range(-(-count // len(chosen)))])[:count]
    kinds = sorted({item.speaker for item in noise})
    for place, index in enumerate(order):
        item, kind = chosen[index], kinds[place % len(kinds)]
        snr = own.snr_db[place // len(kinds) % len(own.snr_db)]
        wave = readers[0](item)
        rng = generator(settings.seed, "enhancement", part, place)
        sounds = [sound for sound in noise if sound.speaker == kind]
        sound = sounds[int(rng.integers(len(sounds)))]
        mixed = mix(wave, excerpt(readers[1](sound), len(wave), rng), snr)
        source = f"{item.id} + {sound.id} at {snr:g} dB"
        yield Mixture(f"{place:05d}-{kind}-{snr:g}dB", item.speaker, source, mixed.wave, {"clean": mixed.scale * wave})


def two_speakers(part: str, speech: Sequence[Recording], settings: Settings, read: Reader) -> Iterator[Mixture]:
    """Mixtures of two speakers of one part, every speaker as often as the others; no pair of recordings twice."""
    tested = set(settings.separation.test_speakers)
    by_speaker: dict[str, list[Recording]] = {}
    for item in usable(speech, settings.seconds):
        if (item.speaker in tested) == (part == "test"):
            by_speaker.setdefault(item.speaker, []).append(item)
    speakers = sorted(by_speaker)
    if len(speakers) < 2:
        raise DaisyError(
            f"{len(speakers)} speakers for {part} have recordings of {settings.seconds[0]:g} to "
            f"{settings.seconds[1]:g} s, and a mixture needs two",
            fix="Change data.mixtures.seconds or data.mixtures.separation.test_speakers",
        )
    seen: set[frozenset[str]] = set()
    for place in range(getattr(settings.separation, part)):
        rng = generator(settings.seed, "separation", part, place)
        pair = _pair(by_speaker, speakers, seen, rng)
        samples = min(item.samples for item in pair)
        signals = []
        for item in pair:
            wave = read(item)[:samples]
            level = 10 ** (rng.uniform(*LEVELS) / 20)
            signals.append(wave * level / np.sqrt(power(wave) + 1e-12))
        mixture = signals[0] + signals[1]
        scale = min(1.0, PEAK / max(float(np.abs(wave).max()) for wave in (mixture, *signals)))
        first, second = (scale * wave for wave in signals)
        who = "+".join(item.speaker for item in pair)
        source = " + ".join(item.id for item in pair)
        yield Mixture(f"{place:05d}", who, source, scale * mixture, {"s1": first, "s2": second})


def _pair(
    by_speaker: Mapping[str, Sequence[Recording]],
    speakers: Sequence[str],
    seen: set[frozenset[str]],
    rng: np.random.Generator,
) -> tuple[Recording, Recording]:
    for _ in range(TRIES):
        one, other = (by_speaker[speakers[index]] for index in rng.permutation(len(speakers))[:2])
        pair = one[int(rng.integers(len(one)))], other[int(rng.integers(len(other)))]
        key = frozenset(item.id for item in pair)
        if key not in seen:
            seen.add(key)
            return pair
    raise DaisyError(
        f"after {len(seen)} mixtures of two speakers hardly any new pair of recordings is left",
        fix="Ask for fewer in data.mixtures.separation",
    )


def write_part(out: Path, part: str, mixtures: Iterator[Mixture], folder: str, count: int) -> list[Recording]:
    """Write mixtures and references of one part under ``out/audio``, and describe them."""
    rows = []
    progress = Progress(f"{out.name} {part}", count, "mixtures")
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


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument(
        "--speech", type=Path, required=True, help="table of the embedded corpus; audio/ lies beside it"
    )
    parser.add_argument("--noise", type=Path, required=True, help="table of the noise corpus; likewise")
    parser.add_argument("--enhancement", type=Path, required=True, help="output: table; audio/ beside it")
    parser.add_argument("--separation", type=Path, required=True, help="output: table; audio/ beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(Settings, arguments.settings)
    parts = partition(read_table(arguments.speech), settings.splits)
    noise = read_table(arguments.noise)
    readers = Reader(arguments.speech), Reader(arguments.noise, keep=True)
    noisy: list[Recording] = []
    mixed: list[Recording] = []
    for part in PARTS:
        own = [item for item in noise if item.split == part]
        mixtures = noisy_mixtures(part, parts[part], own, settings, readers)
        noisy += write_part(arguments.enhancement.parent, part, mixtures, "noisy", getattr(settings.enhancement, part))
        mixtures = two_speakers(part, parts[part], settings, readers[0])
        mixed += write_part(arguments.separation.parent, part, mixtures, "mix", getattr(settings.separation, part))
    write_table(arguments.enhancement, noisy)
    write_table(arguments.separation, mixed)


if __name__ == "__main__":
    stage.run(main)
