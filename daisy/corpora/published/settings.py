"""Settings of the stages that read published corpora."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class LibriSpeechSettings:
    """Config of `daisy.corpora.published.librispeech`.

    Attributes:
        root: The folder ``LibriSpeech``, or the one that holds it.
        train: Subsets to train on.
        dev: Subsets to choose models by.
        test: Subsets to test on.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class LibriSpeech10hSettings:
    """Config of `daisy.corpora.published.librispeech_10h`.

    Attributes:
        root: The folder ``librispeech_finetuning``, or the one that holds it.
        librispeech: That of LibriSpeech.
        dev: LibriSpeech's subsets to choose models by.
        test: LibriSpeech's subsets to test on.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    librispeech: str
    dev: tuple[str, ...]
    test: tuple[str, ...]
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class LibriSpeech100hSettings:
    """Config of `daisy.corpora.published.librispeech_100h`.

    Attributes:
        root: The folder of the lexicons.
        lexicon: Files below it, a word and its phones per line; the first that has a word decides.
        librispeech: The folder of LibriSpeech.
        dev: LibriSpeech's subsets to choose models by.
        test: LibriSpeech's subsets to test on.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    lexicon: tuple[str, ...]
    librispeech: str
    dev: tuple[str, ...]
    test: tuple[str, ...]
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class VoxCeleb1Settings:
    """Config of `daisy.corpora.published.voxceleb1`.

    Attributes:
        root: The folder with ``dev/wav`` and ``test/wav``, or with one ``wav``.
        list: MiniSUPERB's ``mini_veri_test_class.txt``: a number and a file per line.
        list_sha256: What the list must hold; empty for any.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    list: str
    list_sha256: str
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class VoiceBankDemandSettings:
    """Config of `daisy.corpora.published.voicebank_demand`.

    Attributes:
        root: The folder with ``clean_trainset_28spk_wav`` and its three fellows, or with the same at 16 kHz.
        dev_speakers: Speakers of the training set who are for dev.
        train: Recordings drawn from the rest to train on; 0 for all.
        dev: Recordings of the dev speakers drawn for dev; 0 for all.
        seed: Seed of either draw.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    dev_speakers: tuple[str, ...]
    train: int
    dev: int
    seed: int
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class Libri2MixSettings:
    """Config of `daisy.corpora.published.libri2mix`.

    Attributes:
        root: The folder of ``libri2mix_train-clean-100.csv`` and its fellows.
        librispeech: That of LibriSpeech.
        train: Mixtures drawn to train on; 0 for all.
        dev: Mixtures drawn for dev; 0 for all.
        seed: Seed of either draw.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    librispeech: str
    train: int
    dev: int
    seed: int
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class MusanSettings:
    """Config of `daisy.corpora.published.musan`.

    Attributes:
        root: The folder ``musan``, or the one that holds it.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class SpeechCommandsSettings:
    """Config of `daisy.corpora.published.speech_commands`.

    Attributes:
        root: The folder of ``speech_commands_v0.01`` and ``speech_commands_test_set_v0.01``.
        faults: What happens when recordings are missing or damaged.
    """

    root: str
    faults: Literal["stop", "leave-out"]


@dataclasses.dataclass(frozen=True)
class DownloadSettings:
    """Config of `daisy.corpora.published.download`.

    Attributes:
        corpus: A published corpus.
        archive: One of its archives.
    """

    corpus: str
    archive: str
