"""Make synthetic speech with a phone per frame: novels and shuffled commands, read by Flite, eSpeak NG and SVOX Pico.

Recordings come in shards, each made whole: a run that was ended goes on with the next one, and what a recording is
depends on the seed and its number alone. More hours later keep the shards that are there. Pico tells no phones; its
recordings are for targets that are clusters.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE, write
from daisy.common.files import read_json, write_json
from daisy.common.progress import Progress
from daisy.common.seeds import generator
from daisy.corpora import debian
from daisy.corpora.synthesis import Command, Synthesiser
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.errors import DaisyError
from daisy.pretraining import phones, texts
from daisy.pretraining.settings import SpeechSettings
from daisy.targets.km import write_dictionary, write_labels

PACKAGES = ("flite", "libflite1", texts.PACKAGE)
"""Debian packages of what reads, and of what is read."""

ESPEAK = "espeakng-loader==0.2.4"
"""The Python package that brings eSpeak NG with its data, for any Linux."""

ESPEAK_PROGRAM = Path(__file__).with_name("espeak.py")
"""What speaks with eSpeak NG, in a process of its own."""

SHORTEST = 0.5
"""Seconds. A shorter recording is an accident of a synthesiser."""

_UNHEARD = "pico-gb"
"""The command corpus's test voice, which must stay unheard."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """One text to be read.

    Attributes:
        number: Counted from 0.
        text: What is read.
        engine: ``flite``, ``espeak`` or ``pico``.
        voice: The engine's voice.
        rate: Speed relative to the voice's own.
        pitch: Pitch relative to the voice's own, where the engine has that.
        shift: All frequencies, and the speed, are multiplied by this afterwards: a longer or a shorter throat.
    """

    number: int
    text: str
    engine: str
    voice: str
    rate: float
    pitch: float
    shift: float


def plan(number: int, settings: SpeechSettings, novels: Sequence[str]) -> Reading:
    """Who reads what, as recording `number`."""
    chance = generator(settings.seed, "reading", number)
    names, weights = zip(*settings.voices.items(), strict=True)
    engine, _, voice = str(chance.choice(names, p=np.array(weights) / sum(weights))).partition("/")
    rate, pitch, shift = (
        round(float(chance.uniform(*limits)), 3) for limits in (settings.rate, (0.8, 1.2), settings.shift)
    )
    novel = novels[int(chance.integers(len(novels)))]
    text = texts.shuffled_commands(chance) if chance.random() < settings.commands else novel
    return Reading(number, text, engine, voice, rate, pitch, shift)


def resample(wave: np.ndarray, rate: float) -> np.ndarray:
    """(N,) at `rate` hertz to 16 kHz, by its whole spectrum; begin and end should be silent."""
    samples = round(len(wave) * SAMPLE_RATE / rate)
    kept = np.fft.rfft(wave)[: samples // 2 + 1]
    return (np.fft.irfft(kept, samples) * (samples / len(wave))).astype(np.float32)


class Readers:
    """The synthesisers.

    Args:
        cache: Where packages are unpacked.
    """

    def __init__(self, cache: Path) -> None:
        self.synthesiser = Synthesiser(cache / "root")
        self.espeak = cache / "espeak" / "espeakng_loader"

    def speak(self, readings: Sequence[Reading]) -> Iterator[tuple[np.ndarray, list[tuple[str, float]] | None]]:
        """(N,) samples at 16 kHz of each, and its phones with the second where each ends; None for those not known."""
        spoken = self._espeak([item for item in readings if item.engine == "espeak"])
        for item in readings:
            wave, rate, known = next(spoken) if item.engine == "espeak" else getattr(self, f"_{item.engine}")(item)
            wave = resample(wave, rate * item.shift) if rate * item.shift != SAMPLE_RATE else wave
            yield wave, None if known is None else [(phone, end / item.shift) for phone, end in known]

    def _flite(self, item: Reading) -> tuple[np.ndarray, float, list[tuple[str, float]] | None]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "speech.wav"
            options = ["-voice", item.voice, "-psdur", "--setf", f"duration_stretch={1 / item.rate:.3f}"]
            words = [str(self.synthesiser.flite), *options, "-t", item.text, "-o", str(file)]
            printed = _run(words, env=self.synthesiser.environment).decode()
            if not file.exists():  # it ends with 0 where it cannot speak
                return np.zeros(0, np.float32), SAMPLE_RATE, None
            wave, rate = soundfile.read(file, dtype="float32")
        return wave, rate, phones.of_flite(printed)

    def _pico(self, item: Reading) -> tuple[np.ndarray, float, None]:
        command = Command("", "", item.text, f"pico-{item.voice}", item.rate, item.pitch)
        return self.synthesiser.speak(command), SAMPLE_RATE, None

    def _espeak(self, items: Sequence[Reading]) -> Iterator[tuple[np.ndarray, float, list[tuple[str, float]] | None]]:
        requests = [
            {"text": item.text, "voice": item.voice, "rate": round(175 * item.rate), "pitch": round(50 * item.pitch)}
            for item in items
        ]
        program = [
            sys.executable,
            str(ESPEAK_PROGRAM),
            *map(str, (self.espeak / "libespeak-ng.so", self.espeak / "espeak-ng-data")),
        ]
        rest = _run(program, input=json.dumps(requests).encode()) if items else b""
        while rest:
            line, _, rest = rest.partition(b"\n")
            about = json.loads(line)
            wave = np.frombuffer(rest[: 2 * about["samples"]], "<i2").astype(np.float32) / 32768
            rest = rest[2 * about["samples"] :]
            yield wave, about["rate"], phones.of_espeak(about["phones"], about["samples"], about["rate"])


def _run(words: list[str], **options: Any) -> bytes:
    outcome = subprocess.run(words, capture_output=True, check=False, **options)
    if outcome.returncode:
        said = outcome.stderr.decode(errors="replace").strip()[-160:] or f"status {outcome.returncode}"
        raise DaisyError(
            f"a synthesiser failed ({said})", file=words[0], fix="Correct speech.voices, or empty the cache"
        )
    return outcome.stdout


def make_shard(number: int, settings: SpeechSettings, novels: Sequence[str], readers: Readers, out: Path) -> list[dict]:
    """The rows of a shard; its recordings are made if they are not there."""
    file = out / "shards" / f"{number:05d}.json"
    wanted = dataclasses.asdict(dataclasses.replace(settings, hours=0.0, dev_every=1))
    mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    if file.exists() and (known := read_json(file))["settings"] == mark:
        return known["rows"]
    rows = []
    readings = [plan(number * settings.shard + place, settings, novels) for place in range(settings.shard)]
    for item, (wave, known) in zip(readings, readers.speak(readings), strict=True):
        if len(wave) < SHORTEST * SAMPLE_RATE:
            continue
        path = f"{number:05d}/{item.number:07d}.flac"
        write(out / "audio" / path, wave / max(1.0, float(np.abs(wave).max()) / 0.99))
        labels = None if known is None else phones.frame_classes(known, len(wave)).tolist()
        speaker = f"{item.engine}-{item.voice}"
        rows.append({"path": path, "samples": len(wave), "speaker": speaker, "text": item.text, "labels": labels})
    write_json(file, {"settings": mark, "rows": rows})
    return rows


def make(settings: SpeechSettings, novels: Sequence[str], readers: Readers, out: Path, threads: int) -> list[dict]:
    """The rows of as many shards as give the hours that are wanted, `threads` of them made at once."""
    wanted, rows, done = settings.hours * 3600, [], 0.0
    progress = Progress("synthetic speech", wanted, "s")
    with ThreadPoolExecutor(threads) as pool:
        work = functools.partial(make_shard, settings=settings, novels=novels, readers=readers, out=out)
        waiting = [pool.submit(work, number) for number in range(threads)]
        for number in itertools.count(threads):
            found = waiting.pop(0).result()
            rows += found
            length = sum(row["samples"] for row in found) / SAMPLE_RATE
            done += length
            progress.add(min(length, wanted - progress.done))
            if done >= wanted:
                return rows
            waiting.append(pool.submit(work, number))
    raise AssertionError  # itertools.count has no end


def write_corpus(rows: Sequence[dict], settings: SpeechSettings, out: Path) -> dict[str, float]:
    """Write ``train`` and ``dev`` with their labels, and ``unlabelled``; the hours of each."""
    labelled = [row for row in rows if row["labels"] is not None]
    parts = {
        "train": [row for place, row in enumerate(labelled) if place % settings.dev_every],
        "dev": labelled[:: settings.dev_every],
        "unlabelled": [row for row in rows if row["labels"] is None],
    }
    for part, chosen in parts.items():
        file = out / f"{part}.tsv"
        if not chosen and part == "unlabelled":
            file.unlink(missing_ok=True)
            continue
        items = [Utterance(row["path"], row["path"], row["samples"], row["speaker"], row["text"]) for row in chosen]
        write_manifest(file, out / "audio", items)
        if part != "unlabelled":
            write_labels(file.with_suffix(".km"), [np.array(row["labels"]) for row in chosen])
    counts = np.bincount([label for row in labelled for label in row["labels"]], minlength=phones.CLASSES)
    write_dictionary(out / "dict.km.txt", counts)
    return {part: sum(row["samples"] for row in chosen) / SAMPLE_RATE / 3600 for part, chosen in parts.items()}


def fetch(cache: Path, settings: SpeechSettings) -> None:
    """Get the packages of all readers, those in the cache excepted."""
    debian.fetch(PACKAGES, cache)
    if any(name.startswith("espeak/") for name in settings.voices) and not (cache / "espeak").exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", f"{folder}/espeak", ESPEAK])
            (Path(folder) / "espeak").rename(cache / "espeak")


def check(settings: SpeechSettings) -> None:
    """Refuse voices that cannot be.

    Raises:
        DaisyError: for the first of them.
    """
    for name in settings.voices:
        engine, _, voice = name.partition("/")
        if engine not in ("flite", "espeak", "pico") or f"{engine}-{voice}" == _UNHEARD:
            fix = "Write engine/voice, the engine flite, espeak or pico"
            raise DaisyError(f"speech.voices names {name!r}", fix=f"{fix}; {_UNHEARD} is for tests alone")
        if engine == "pico" and importlib.util.find_spec("py_nanotts") is None:
            raise DaisyError(f"{name} needs py-nanotts", fix="Install it, or take the voice out of speech.voices")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloaded packages")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of audio, manifests and labels")
    arguments = parser.parse_args(argv)
    settings = stage.settings(SpeechSettings, arguments.settings)
    check(settings)
    fetch(arguments.cache, settings)
    novels = texts.novels(arguments.cache / "root")
    rows = make(settings, novels, Readers(arguments.cache), arguments.out, arguments.threads)
    hours = write_corpus(rows, settings, arguments.out)
    print("synthetic speech: " + ", ".join(f"{value:.2f} h {part}" for part, value in hours.items()))


if __name__ == "__main__":
    stage.run(main)
