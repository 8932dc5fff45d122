"""Settings of the stages that make corpora and manifests."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Splits:
    """How recordings are divided.

    Attributes:
        seed: Seed of the draw.
        dev: Share of each speaker's recordings in dev.
        test: Share of each speaker's recordings in test.
        max_per_speaker: At most so many recordings of a speaker are used; 0 for all.
    """

    seed: int
    dev: float
    test: float
    max_per_speaker: int = 0


@dataclasses.dataclass(frozen=True)
class ManifestsSettings:
    """Config of `daisy.corpora.manifests`.

    Attributes:
        task: Whose manifests; `speech` for the branches and their targets.
        splits: How the corpus is divided.
        max_seconds: Longer recordings are left out; 0 for none.
        min_recordings: Speakers with fewer recordings, or with none in some part, are left out; 0 for none.
        transcribed: Whether recordings without a text are left out.
        share: Of all those, the share that is used, drawn by the seed: of speakers where they must be known, else of
            each part's recordings.
    """

    task: str
    splits: Splits
    max_seconds: float = 0.0
    min_recordings: int = 0
    transcribed: bool = False
    share: float = 1.0


@dataclasses.dataclass(frozen=True)
class PreparedSettings:
    """Config of `daisy.corpora.prepared`: none."""


@dataclasses.dataclass(frozen=True)
class EmbeddedSettings:
    """Config of `daisy.corpora.embedded`.

    Attributes:
        packages: Which of the packages to use; empty for all of them.
    """

    packages: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class CommandsSettings:
    """Config of `daisy.corpora.commands`.

    Attributes:
        seed: Seed of sentences, voices and speaking rates.
        train: Recordings to train on.
        dev: Recordings to choose the model by.
        test: Recordings to test on.
    """

    seed: int
    train: int
    dev: int
    test: int


@dataclasses.dataclass(frozen=True)
class PhonesSettings:
    """Config of `daisy.corpora.phones`: none."""


@dataclasses.dataclass(frozen=True)
class NoiseSettings:
    """Config of `daisy.corpora.noise`.

    Attributes:
        seed: Seed of the division and of the babble.
        kinds: Which of ``music`` and ``babble`` to make.
        tracks: Babble recordings per split.
        seconds: Length of each.
        voices: Voices in each.
        sid_min_recordings: Speakers with fewer recordings are in no test set, and so are heard in the babble.
    """

    seed: int
    kinds: tuple[str, ...]
    tracks: int
    seconds: float
    voices: int
    sid_min_recordings: int


@dataclasses.dataclass(frozen=True)
class MixingSettings:
    """Config that the corpora of mixtures share.

    Attributes:
        seed: Seed of all draws.
        splits: How recordings are divided.
        seconds: Shortest and longest recording that is mixed.
        train: Mixtures to train on.
        dev: Mixtures to choose the model by.
        test: Mixtures to test on.
        test_speakers: Who speaks in test, and in neither train nor dev.
    """

    seed: int
    splits: Splits
    seconds: tuple[float, float]
    train: int
    dev: int
    test: int
    test_speakers: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class EnhancementSettings(MixingSettings):
    """Config of `daisy.corpora.enhancement`.

    Attributes:
        speakers: Who speaks in train and dev.
        snr_db: Signal-to-noise ratios of train and dev, each as often as the others.
        test_snr_db: Those of test.
    """

    speakers: tuple[str, ...]
    snr_db: tuple[float, ...]
    test_snr_db: tuple[float, ...]
