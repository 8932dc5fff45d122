"""Small trees of the published corpora, in their makers' layout and formats, from the golden recordings."""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from project import GOLDEN

from daisy.common import audio
from daisy.common.torchaudio_shim import torchaudio

TEXTS = ("IT'S ALL YOU NEED", "THE CALL IS WAITING", "PLEASE HOLD THE LINE", "A B C")
LIBRISPEECH = {
    "train-clean-100": ("103", "1034", "1040"),
    "dev-clean": ("84", "174"),
    "test-clean": ("61", "121"),
}
"""Speakers by subset."""


def voices() -> Iterator[np.ndarray]:
    """Recordings without end, no two of them equal."""
    waves = [audio.read(path).numpy() for path in sorted(GOLDEN.glob("*.wav"))]
    for number in itertools.count():
        wave = waves[number % len(waves)]
        yield wave[200 * (number // len(waves)) :]


def _write(path: Path, wave: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, 16_000, subtype="PCM_16")


def _chapter(folder: Path, speaker: str, chapter: str, waves: Iterator[np.ndarray], count: int = 3) -> None:
    lines = []
    for number in range(count):
        name = f"{speaker}-{chapter}-{number:04d}"
        _write(folder / speaker / chapter / f"{name}.flac", next(waves))
        lines.append(f"{name} {TEXTS[number % len(TEXTS)]}\n")
    (folder / speaker / chapter / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))


def librispeech(parent: Path) -> Path:
    """``LibriSpeech/`` with one subset for each split; its folder."""
    root, waves = parent / "LibriSpeech", voices()
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for subset, speakers in LIBRISPEECH.items():
        for speaker in speakers:
            lines.append(f"{speaker:<5}| F | {subset:<17}| 25.03 | Somebody")
            for chapter in ("1240", "1241"):
                _chapter(root / subset, speaker, chapter, waves)
    lines.append("14   | F | train-clean-360  | 25.03 | Somebody else")
    (root / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n")
    return root


def librispeech_10h(parent: Path) -> Path:
    """``librispeech_finetuning/`` with its folders ``1h/0`` to ``1h/5`` and ``9h``."""
    root, waves = parent / "librispeech_finetuning", voices()
    for part in [f"1h/{number}" for number in range(6)] + ["9h"]:
        for quality, speaker in (("clean", "103"), ("other", "1046")):
            _chapter(root / part / quality, speaker, part[-1] * 4, waves, count=2)
    (root / "phones").mkdir()
    (root / "phones/10h_phones.txt").write_text("103-0000-0000 1 2 3\n")
    return root


def lexicon(parent: Path) -> Path:
    """A folder of two lexicons: LibriSpeech's, with two pronunciations of a word, and one of rarer words."""
    root = parent / "lexicon"
    root.mkdir()
    words = ("A\tAH0", "A\tEY1", "ALL\tAO1 L", "CALL\tK AO1 L", "HOLD\tHH OW1 L D", "IS\tIH1 Z", "IT'S\tIH1 T S")
    words += ("LINE\tL AY1 N", "NEED\tN IY1 D", "PLEASE\tP L IY1 Z", "THE\tDH AH0", "THE\tDH IY0", "YOU  Y UW1")
    (root / "librispeech-lexicon.txt").write_text("\n".join(words) + "\n")
    (root / "librispeech-lexicon-allothers-g2p.txt").write_text("WAITING\tW EY1 T IH0 NG\nALL\tAE1 L\n")
    return root


def voxceleb1(parent: Path) -> Path:
    """``VoxCeleb1/`` with ``dev/wav``, ``test/wav`` and MiniSUPERB's list."""
    root, waves, lines = parent / "VoxCeleb1", voices(), []
    for speaker, place in (("id10001", "dev"), ("id10002", "dev"), ("id10270", "test")):
        for number in range(1, 9):
            name = f"{speaker}/1zcIwhmdeo4/{number:05d}.wav"
            _write(root / place / "wav" / name, next(waves))
            lines.append(f"{1 if number < 5 else 2 if number < 7 else 3} {name}\n")
    (root / "mini_veri_test_class.txt").write_text("".join(sorted(lines)))
    return root


def list_sha256(root: Path) -> str:
    """The checksum of the small VoxCeleb1's own list."""
    return hashlib.sha256((root / "mini_veri_test_class.txt").read_bytes()).hexdigest()


def voicebank_demand(parent: Path, rate: int = 48_000) -> Path:
    """``VoiceBank-DEMAND/`` at 48 kHz, or as it is prepared at 16."""
    root, waves = parent / "VoiceBank-DEMAND", voices()
    chance = np.random.default_rng(0)
    ending = "_16k" if rate == 16_000 else ""
    for name, speakers in (("trainset_28spk", ("p226", "p287", "p236", "p243")), ("testset", ("p232", "p257"))):
        for speaker in speakers:
            for number in range(1, 5):
                wave = torchaudio.functional.resample(torch.from_numpy(next(waves).copy()), 16_000, rate).numpy()
                noisy = wave + 0.02 * chance.standard_normal(len(wave)).astype(np.float32)
                for kind, signal in (("clean", wave), ("noisy", noisy)):
                    path = root / f"{kind}_{name}_wav{ending}" / f"{speaker}_{number:03d}.wav"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, np.clip(signal, -1, 1), rate, subtype="PCM_16")
    return root


def libri2mix(parent: Path, librispeech: Path) -> Path:
    """The folder ``metadata/Libri2Mix`` with tables on the small LibriSpeech."""
    root = parent / "LibriMix/metadata/Libri2Mix"
    root.mkdir(parents=True)
    for subset, speakers in LIBRISPEECH.items():
        with open(root / f"libri2mix_{subset}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            columns = [f"source_{place}_{what}" for place in (1, 2) for what in ("path", "gain")]
            writer.writerow(["mixture_ID", *columns, "noise_path", "noise_gain"])
            for number in range(6):
                pair = speakers[number % 2], speakers[(number + 1) % 2]
                names = [f"{who}-124{number // 3}-{number % 3:04d}" for who in pair]
                paths = [f"{subset}/{who}/124{number // 3}/{name}.flac" for who, name in zip(pair, names, strict=True)]
                assert all((librispeech / path).exists() for path in paths)
                gains = 0.6522426013163469 + number / 7, 0.4052135302314628 + number / 9
                writer.writerow(["_".join(names), paths[0], gains[0], paths[1], gains[1], "tt/x.wav", 3.2])
        (root / f"libri2mix_{subset}_info.csv").write_text("mixture_ID,speaker_1_ID\n")
    return root


def musan(parent: Path) -> Path:
    """``musan/`` with its three kinds."""
    root, waves = parent / "musan", voices()
    for kind, source in (("music", "fma"), ("speech", "librivox"), ("noise", "free-sound")):
        for number in range(3):
            _write(root / kind / source / f"{kind}-{source}-{number:04d}.wav", next(waves))
        (root / kind / source / "ANNOTATIONS").write_text("x\n")
        (root / kind / source / "LICENSE").write_text("x\n")
    return root


def speech_commands(parent: Path) -> Path:
    """``SpeechCommands/`` with the folders of both archives: words, lists and noise, and the set for tests."""
    root, waves = parent / "SpeechCommands", voices()
    words, tests = root / "speech_commands_v0.01", root / "speech_commands_test_set_v0.01"
    for word in ("yes", "no", "bed"):
        for speaker in ("00176480", "0a7c2a8d", "1b4c9b89", "3bb68054"):
            _write(words / word / f"{speaker}_nohash_0.wav", next(waves)[:16_000])
        _write(words / word / "00176480_nohash_1.wav", next(waves)[:15_000])
    for file, speaker in (("validation_list.txt", "0a7c2a8d"), ("testing_list.txt", "1b4c9b89")):
        (words / file).write_text("".join(f"{word}/{speaker}_nohash_0.wav\n" for word in ("bed", "no", "yes")))
    for name in ("running_tap", "white_noise"):
        _write(words / "_background_noise_" / f"{name}.wav", 0.1 * np.resize(next(waves), 165_000))
    (words / "_background_noise_/README.md").write_text("x\n")
    (words / "README.md").write_text("x\n")
    for word in ("yes", "no", "_unknown_", "_silence_"):
        _write(tests / word / "1b4c9b89_nohash_0.wav", next(waves)[:16_000])
    return root


def all_of_them(parent: Path) -> dict[str, dict[str, object]]:
    """All of them; what a config says of them under `data.published`."""
    speech = librispeech(parent)
    faces = voxceleb1(parent)
    return {
        "librispeech": {"root": str(speech), "train": ["train-clean-100"]},
        "librispeech-10h": {"root": str(librispeech_10h(parent))},
        "voxceleb1": {
            "root": str(faces),
            "list": str(faces / "mini_veri_test_class.txt"),
            "list_sha256": list_sha256(faces),
        },
        "voicebank-demand": {"root": str(voicebank_demand(parent)), "train": 6, "dev": 5},
        "libri2mix": {"root": str(libri2mix(parent, speech)), "train": 5, "dev": 4},
        "musan": {"root": str(musan(parent))},
        "speech-commands": {"root": str(speech_commands(parent))},
        "librispeech-100h": {"root": str(lexicon(parent))},
    }
