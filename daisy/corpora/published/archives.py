"""Where the makers of the published corpora offer them, and what the archives must hold.

Free of torch, so that the Snakefile can read it while parsing. Apart from the catalogue, so that a new address
reads no corpus again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file to download.

    Attributes:
        urls: Where it is; several are parts of one file, in this order.
        checksums: Of each part, by its makers: 32 hexadecimal digits are MD5, 64 SHA-256. Empty: none is published.
        holds: A folder or file that it has; where it is there, nothing needs to be downloaded.
        inside: The folder under the root in which it is unpacked.
        megabytes: What it takes unpacked, roughly: as its page says, or by the length of its audio.
    """

    urls: tuple[str, ...]
    checksums: tuple[str, ...]
    holds: str
    inside: str = "."
    megabytes: int = 1


def there(root: Path, archive: Archive) -> Path | None:
    """What the archive holds, if it is below `root` already; `root` may be the archive's own top folder."""
    candidates = [root / archive.holds]
    if root.name == archive.holds.split("/")[0]:
        candidates.append(root.parent / archive.holds)
    return next((path for path in candidates if path.exists()), None)


def _librispeech(subset: str, megabytes: int, checksum: str) -> Archive:
    address = f"https://www.openslr.org/resources/12/{subset}.tar.gz"
    return Archive((address,), (checksum,), f"LibriSpeech/{subset}", megabytes=megabytes)


def _voicebank(name: str, sequence: int, megabytes: int, checksum: str) -> Archive:
    address = f"https://datashare.ed.ac.uk/bitstream/handle/10283/2791/{name}.zip?sequence={sequence}&isAllowed=y"
    return Archive((address,), (checksum,), name, megabytes=megabytes)


def _commands(name: str, megabytes: int, *checksums: str) -> Archive:
    address = f"https://storage.googleapis.com/download.tensorflow.org/data/{name}.tar.gz"
    return Archive((address,), checksums, f"{name}/yes", name, megabytes)


VOXCELEB = "https://thor.robots.ox.ac.uk/~vgg/data/voxceleb/vox1a"
LIBRIMIX = "https://raw.githubusercontent.com/JorisCos/LibriMix/master/metadata/Libri2Mix"
MINISUPERB = (
    "https://raw.githubusercontent.com/Comet0322/MiniSUPERB/fde8f34/"
    "minisuperb/downstream/voxceleb1/mini_veri_test_class.txt"
)
G2P = "https://huggingface.co/datasets/s3prl/g2p/raw/main/lexicon"
LIST_SHA256 = "8ad6253ebc68c1a16dd3a997a10b3358fba7e9a312a614456c40a3993e076891"


ARCHIVES = {
    # Checksums as torchaudio 2.11 has them.
    "librispeech": {
        subset: _librispeech(subset, *known)
        for subset, known in {
            "train-clean-100": (6390, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
            "train-clean-360": (23000, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
            "train-other-500": (30600, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
            "dev-clean": (340, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
            "test-clean": (350, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
            "dev-other": (320, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
            "test-other": (330, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
        }.items()
    },
    # Checksum as torchaudio 2.11 has it.
    "librispeech-10h": {
        "librispeech_finetuning": Archive(
            ("https://dl.fbaipublicfiles.com/librilight/data/librispeech_finetuning.tgz",),
            ("5d1efdc777b548194d7e09ba89126e2188026df9fd57aa57eb14408d2b2342af",),
            "librispeech_finetuning/9h",
            megabytes=600,
        )
    },
    # Checksums as torchaudio 2.11 has them, of the list as MiniSUPERB's commit fde8f34 has it.
    "voxceleb1": {
        "vox1_dev_wav": Archive(
            tuple(f"{VOXCELEB}/vox1_dev_wav_parta{part}" for part in "abcd"),
            (
                "21ec6ca843659ebc2fdbe04b530baa4f191ad4b0971912672d92c158f32226a0",
                "311d21e0c8cbf33573a4fce6c80e5a279d80736274b381c394319fc557159a04",
                "92b64465f2b2a3dc0e4196ae8dd6828cbe9ddd1f089419a11e4cbfe2e1750df0",
                "00e6190c770b27f27d2a3dd26ee15596b17066b715ac111906861a7d09a211a5",
            ),
            "dev/wav",
            "dev",
            39_200,
        ),
        "vox1_test_wav": Archive(
            (f"{VOXCELEB}/vox1_test_wav.zip",),
            ("8de57f347fe22b2c24526e9f444f689ecf5096fc2a92018cf420ff6b5b15eaea",),
            "test/wav",
            "test",
            1300,
        ),
        "mini_veri_test_class.txt": Archive((MINISUPERB,), (LIST_SHA256,), "mini_veri_test_class.txt"),
    },
    # Checksums as the archive's download pages give them.
    "voicebank-demand": {
        "clean_trainset_28spk_wav": _voicebank("clean_trainset_28spk_wav", 2, 3300, "d2d5a45ec32f8fcbf201bde0447e20ba"),
        "noisy_trainset_28spk_wav": _voicebank("noisy_trainset_28spk_wav", 6, 3300, "1fca9e8bafb8cd069f6653c6d92f9e9c"),
        "clean_testset_wav": _voicebank("clean_testset_wav", 1, 200, "34eb1c0ba7ef667e9b966866c542fc16"),
        "noisy_testset_wav": _voicebank("noisy_testset_wav", 5, 200, "fb1b86caa31e8ba5b506c0c64da9aab5"),
    },
    # The repository publishes no checksums; the tables' lengths are checked when they are read.
    "libri2mix": {
        f"libri2mix_{subset}.csv": Archive((f"{LIBRIMIX}/libri2mix_{subset}.csv",), (), f"libri2mix_{subset}.csv")
        for subset in ("train-clean-100", "dev-clean", "test-clean")
    },
    # Checksum as several toolkits have it.
    "musan": {
        "musan": Archive(
            ("https://www.openslr.org/resources/17/musan.tar.gz",),
            ("0c472d4fc0c5141eca47ad1ffeb2a7df",),
            "musan/speech",
            megabytes=12_000,
        )
    },
    # The words' checksum as torchaudio 2.11 has it; none is published for the test set, whose recordings are counted.
    "speech-commands": {
        "speech_commands_v0.01": _commands(
            "speech_commands_v0.01", 2100, "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"
        ),
        "speech_commands_test_set_v0.01": _commands("speech_commands_test_set_v0.01", 100),
    },
    # No checksums are published: every word of a transcript must be in them.
    "librispeech-100h": {
        "librispeech-lexicon.txt": Archive(
            ("https://www.openslr.org/resources/11/librispeech-lexicon.txt",), (), "librispeech-lexicon.txt"
        ),
        "librispeech-lexicon-allothers-g2p.txt": Archive(
            (f"{G2P}/librispeech-lexicon-allothers-g2p.txt",), (), "librispeech-lexicon-allothers-g2p.txt"
        ),
    },
}
"""Archives by corpus and name."""


def archives_of(name: str, published: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What must be downloaded for a corpus, unless it is there: corpora and archives by name."""
    speech = published["librispeech"]
    subsets = {
        "librispeech": (*speech["train"], *speech["dev"], *speech["test"]),
        "librispeech-10h": (*speech["dev"], *speech["test"]),
        "librispeech-100h": ("train-clean-100", *speech["dev"], *speech["test"]),
        "libri2mix": ("train-clean-100", "dev-clean", "test-clean"),
    }.get(name, ())
    own = [] if name == "librispeech" else [(name, archive) for archive in ARCHIVES[name]]
    return own + [("librispeech", subset) for subset in dict.fromkeys(subsets)]
