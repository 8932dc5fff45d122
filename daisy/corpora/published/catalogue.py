"""Which published corpora are known, and how much is in each.

Free of torch, so that the Snakefile can read it while parsing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from daisy.common import stage
from daisy.corpora.published.settings import (
    Libri2MixSettings,
    LibriSpeech10hSettings,
    LibriSpeech100hSettings,
    LibriSpeechSettings,
    MusanSettings,
    SpeechCommandsSettings,
    VoiceBankDemandSettings,
    VoxCeleb1Settings,
)


@dataclasses.dataclass(frozen=True)
class Size:
    """What a subset holds by its makers' count; None where they give none.

    Attributes:
        files: Recordings.
        hours: Their length.
        speakers: Who speaks.
    """

    files: int | None = None
    hours: float | None = None
    speakers: int | None = None


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A published corpus.

    Attributes:
        title: Its name in sentences.
        licence: Its licence, as its makers give it.
        sizes: By subset.
        obtain: How to get it.
    """

    title: str
    licence: str
    sizes: dict[str, Size]
    obtain: str


CORPORA = {
    # Panayotov et al., 2015, table 1.
    "librispeech": Corpus(
        title="LibriSpeech",
        licence="CC BY 4.0",
        sizes={
            "train-clean-100": Size(28_539, 100.6, 251),
            "train-clean-360": Size(104_014, 363.6, 921),
            "train-other-500": Size(148_688, 496.7, 1_166),
            "dev-clean": Size(2_703, 5.4, 40),
            "test-clean": Size(2_620, 5.4, 40),
            "dev-other": Size(2_864, 5.3, 33),
            "test-other": Size(2_939, 5.1, 33),
        },
        obtain="It is number 12 at openslr.org",
    ),
    # Kahn et al., 2020: 1 h and 9 h of LibriSpeech.
    "librispeech-10h": Corpus(
        title="Libri-light's 10 hours",
        licence="CC BY 4.0",
        sizes={"1h": Size(hours=1.0, speakers=24), "9h": Size(hours=9.0, speakers=24)},
        obtain="It is librispeech_finetuning.tgz of the Libri-light project",
    ),
    # Nagrani et al., 2017; MiniSUPERB's list at commit fde8f34.
    "voxceleb1": Corpus(
        title="VoxCeleb1",
        licence="CC BY 4.0; its makers ask for a registration",
        sizes={
            "train": Size(13_761, None, 1_251),
            "dev": Size(6_904, None, 1_251),
            "test": Size(8_251, None, 1_251),
        },
        obtain="Ask the Visual Geometry Group at Oxford; the list is in MiniSUPERB's repository",
    ),
    # Valentini-Botinhao, 2017 (doi 10.7488/ds/2117).
    "voicebank-demand": Corpus(
        title="VoiceBank-DEMAND, 28 speakers",
        licence="CC BY 4.0",
        sizes={"trainset_28spk": Size(11_572, None, 28), "testset": Size(824, None, 2)},
        obtain="It is handle 10283/2791 at datashare.ed.ac.uk",
    ),
    # Cosentino et al., 2020.
    "libri2mix": Corpus(
        title="Libri2Mix",
        licence="the tables: MIT; LibriSpeech: CC BY 4.0",
        sizes={
            "train-clean-100": Size(13_900, None, 251),
            "dev-clean": Size(3_000, None, 40),
            "test-clean": Size(3_000, None, 40),
        },
        obtain="Its tables are in the folder metadata/Libri2Mix of the repository JorisCos/LibriMix",
    ),
    # Snyder et al., 2015.
    "musan": Corpus(
        title="MUSAN",
        licence="CC BY 4.0 and public domain, by recording",
        sizes={"music": Size(660, 42.5), "speech": Size(426, 60.4), "noise": Size(930, 6.0)},
        obtain="It is number 17 at openslr.org",
    ),
    # Warden, 2018; SUPERB's counts, as its data card has them.
    "speech-commands": Corpus(
        title="Speech Commands v1",
        licence="CC BY 4.0",
        sizes={
            "train": Size(51_088),
            "validation": Size(6_798),
            "test": Size(3_081),
            "_background_noise_": Size(6),
        },
        obtain="It is speech_commands_v0.01.tar.gz and speech_commands_test_set_v0.01.tar.gz of TensorFlow's",
    ),
    # The 100 hours are LibriSpeech's subset; the pronunciations are s3prl's.
    "librispeech-100h": Corpus(
        title="LibriSpeech's 100 hours, as phones",
        licence="CC BY 4.0; the lexicon: public domain",
        sizes={},
        obtain="LibriSpeech is number 12 at openslr.org, its lexicon number 11",
    ),
}
"""Published corpora by the name that `data.corpora` gives them."""


SETTINGS: Mapping[str, type[Any]] = {
    "librispeech": LibriSpeechSettings,
    "librispeech-10h": LibriSpeech10hSettings,
    "voxceleb1": VoxCeleb1Settings,
    "voicebank-demand": VoiceBankDemandSettings,
    "libri2mix": Libri2MixSettings,
    "musan": MusanSettings,
    "speech-commands": SpeechCommandsSettings,
    "librispeech-100h": LibriSpeech100hSettings,
}
"""What the stage of each is told."""


def module_of(name: str) -> str:
    """The stage that reads a published corpus."""
    return f"daisy.corpora.published.stages.{name.replace('-', '_')}"


def settings_of(name: str, published: Mapping[str, Any]) -> Any:
    """The settings of that stage, one of the dataclasses of `daisy.corpora.published.settings`.

    Args:
        name: The corpus.
        published: The config's `data.published`.
    """
    speech = published["librispeech"]
    other: dict[str, Any] = {}
    if name in ("librispeech-10h", "librispeech-100h"):
        other = {"librispeech": speech["root"], "dev": speech["dev"], "test": speech["test"]}
    elif name == "libri2mix":
        other = {"librispeech": speech["root"]}
    return stage.build(
        SETTINGS[name], {**published[name], **other, "faults": published["faults"]}, f"data.published.{name}"
    )
