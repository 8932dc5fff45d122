"""Prepare the command corpus: synthesised English command sentences with transcripts, for ASR.

No package of free recordings comes with transcripts, so this one corpus is synthetic. Sentences come
from a small grammar with a closed vocabulary; no sentence occurs in two splits, and one voice is heard
in the test set only. Voices are Flite's (Debian) and SVOX Pico's (`py-nanotts`).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE, write
from daisy.common.progress import Progress
from daisy.common.seeds import generator
from daisy.corpora import debian
from daisy.corpora.settings import CommandsSettings
from daisy.corpora.table import Recording, write_table
from daisy.errors import DaisyError

SLOTS: dict[str, tuple[str, ...]] = {
    "switch": ("turn on", "turn off", "check"),
    "device": ("light", "lamp", "heater", "radio"),
    "room": ("kitchen", "bedroom", "garden", "office"),
    "thing": ("door", "window", "gate"),
    "move": ("open", "close", "lock"),
    "name": ("anna", "peter", "maria", "david"),
    "number": ("one", "two", "three", "four", "five", "six", "seven", "eight"),
    "day": ("", "today", "tomorrow", "on monday", "on friday"),
    "how": ("", "please", "now"),
}
"""What may stand in each place of a sentence."""

PATTERNS = (
    "{how} {switch} the {room} {device} {day}",
    "{move} the {room} {thing} at {number} {how}",
    "call {name} at {number} {day}",
    "remind {name} to {move} the {room} {thing} {day}",
    "set the alarm for {number} {day} {how}",
)
"""The sentences' patterns."""

FLITE_VOICES = ("slt", "rms")
PICO_VOICES = {"pico-us": "en-US", "pico-gb": "en-GB"}
UNSEEN = "pico-gb"
"""The voice that is heard in the test set only; one in `UNSEEN_EVERY` of its recordings."""

UNSEEN_EVERY = 12
"""So rare because a recogniser that has heard three voices hardly understands a fourth; see the README."""

SEEN = (*FLITE_VOICES, "pico-us")
"""The voices of train and dev, and of the other test recordings."""

_PICO_VOLUME = 0.4
"""Pico's own volume, 1, clips nearly every recording. At this one, about as loud as Flite, it is a few samples
of one recording in sixty; Pico takes a still lower one for this."""

_PICO_PROGRAM = """
import sys
from py_nanotts import NanoTTS
text, voice, speed, pitch, volume = sys.argv[1:]
pcm = NanoTTS().speak(text, voice=voice, speed=float(speed), pitch=float(pitch), volume=float(volume))
sys.stdout.buffer.write(pcm)
"""
"""What speaks one sentence. Pico reads memory that it has not set, so that what it says depends on what
the process said before: every sentence gets a process of its own."""


@dataclasses.dataclass(frozen=True)
class Command:
    """One sentence to be spoken.

    Attributes:
        id: The recording's id.
        split: The split that it belongs to.
        text: The sentence.
        voice: Who speaks.
        rate: Speaking rate relative to the voice's own.
        pitch: Pitch relative to the voice's own; `rms` alone keeps its own, whatever it is told.
    """

    id: str
    split: str
    text: str
    voice: str
    rate: float
    pitch: float


def sentences() -> list[str]:
    """Every sentence of the grammar once, sorted."""
    texts = set()
    for pattern in PATTERNS:
        names = [name for name in SLOTS if f"{{{name}}}" in pattern]
        for words in itertools.product(*(SLOTS[name] for name in names)):
            texts.add(" ".join(pattern.format(**dict(zip(names, words, strict=True))).split()))
    return sorted(texts)


def vocabulary(texts: Iterable[str]) -> set[str]:
    """The words of `texts`."""
    return {word for text in texts for word in text.split()}


def draw(settings: CommandsSettings, every: Sequence[str]) -> list[str]:
    """`every` sentence in a random order whose first ``settings.train`` hold the whole vocabulary.

    Where chance leaves a word out of train, as it does in a small one, the sentences with the most new
    words come first. A train set too small even for those lacks some words.
    """
    order = [every[index] for index in generator(settings.seed, "sentences").permutation(len(every))]
    unheard = vocabulary(every)
    if vocabulary(order[: settings.train]) == unheard:
        return order
    first: list[str] = []
    while unheard:
        first.append(max(order, key=lambda text: len(unheard.intersection(text.split()))))
        unheard -= vocabulary(first[-1:])
    return first + [text for text in order if text not in first]


def plan(settings: CommandsSettings) -> list[Command]:
    """Who says what: sentences drawn without repetition, one after the other for train, dev and test.

    Raises:
        DaisyError: if the grammar has fewer sentences than are asked for.
    """
    every = sentences()
    counts = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    if sum(counts.values()) > len(every):
        raise DaisyError(
            f"{sum(counts.values())} sentences asked for, and the grammar has {len(every)}",
            fix="Lower the counts under data.commands",
        )
    order = iter(draw(settings, every))
    commands = []
    for split, count in counts.items():
        for number in range(count):
            chance = generator(settings.seed, "voice", split, number)
            voice = UNSEEN if split == "test" and number % UNSEEN_EVERY == 0 else str(chance.choice(SEEN))
            rate, pitch = (float(np.round(value, 3)) for value in chance.uniform(0.9, 1.1, size=2))
            name = f"{voice}/{split}-{number:05d}"
            commands.append(Command(name, split, next(order), voice, rate, pitch))
    return commands


class Synthesiser:
    """Speaks a command with its voice.

    Args:
        root: Where Debian's packages are unpacked.
    """

    _BASE_PITCH = {"slt": 170.0, "rms": 105.0}

    def __init__(self, root: Path) -> None:
        self.flite = root / "usr/bin/flite"
        libraries = sorted({str(file.parent) for file in root.glob("usr/lib/*/libflite.so*")})
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}

    def speak(self, command: Command) -> np.ndarray:
        """(samples,) float32 at 16 kHz.

        Raises:
            DaisyError: if the synthesiser cannot run or says nothing.
        """
        wave = self._pico(command) if command.voice in PICO_VOICES else self._flite(command)
        if len(wave) < SAMPLE_RATE // 4:
            raise DaisyError(
                f"the voice {command.voice} said {len(wave)} samples for {command.text!r}",
                fix="Delete the cache folder, so that the synthesiser is installed again",
            )
        return wave

    def _pico(self, command: Command) -> np.ndarray:
        numbers = [str(value) for value in (command.rate, command.pitch, _PICO_VOLUME)]
        outcome = subprocess.run(
            [sys.executable, "-c", _PICO_PROGRAM, command.text, PICO_VOICES[command.voice], *numbers],
            capture_output=True,
            check=False,
        )
        if outcome.returncode != 0:
            lines = outcome.stderr.decode(errors="replace").splitlines() or [f"status {outcome.returncode}"]
            raise DaisyError(
                f"py-nanotts failed ({lines[-1][:120]})", fix="Install the Python package py-nanotts again"
            )
        return np.frombuffer(outcome.stdout, dtype="<i2").astype(np.float32) / 32768

    def _flite(self, command: Command) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "speech.wav"
            self._run_flite(
                *("-voice", command.voice),
                *("--setf", f"duration_stretch={1 / command.rate:.3f}"),
                *("--setf", f"int_f0_target_mean={self._BASE_PITCH[command.voice] * command.pitch:.1f}"),
                *("-t", command.text, "-o", str(file)),
            )
            if not file.exists():
                # Flite says nothing and exits with 0 where it cannot speak.
                return np.zeros(0, np.float32)
            wave, rate = soundfile.read(file, dtype="float32")
        if rate != SAMPLE_RATE:
            raise DaisyError(f"the voice {command.voice} speaks at {rate} Hz", file=self.flite, fix="Drop the voice")
        return wave

    def _run_flite(self, *options: str) -> None:
        try:
            outcome = subprocess.run(
                [str(self.flite), *options], env=self.environment, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise DaisyError(
                "flite is not there", file=self.flite, fix="Delete the cache folder and run again"
            ) from None
        except OSError as error:
            raise DaisyError(
                f"flite cannot run ({error.strerror})",
                file=self.flite,
                fix="Delete the cache folder, and run again on the kind of machine that its packages are for",
            ) from None
        if outcome.returncode != 0:
            # Flite is linked with ALSA's library, whose package has another name from one release to the next.
            library = "shared libraries" in outcome.stderr
            raise DaisyError(
                f"flite failed ({outcome.stderr.strip()[-120:] or f'status {outcome.returncode}'})",
                file=self.flite,
                fix="Install the system library that it misses (for libasound.so.2, the package libasound2)"
                if library
                else "Delete the cache folder, so that the synthesiser is installed again",
            )


def synthesise(commands: Sequence[Command], root: Path, audio: Path) -> Iterator[Recording]:
    """Speak `commands` into FLAC files under `audio`."""
    synthesiser = Synthesiser(root)
    progress = Progress("command speech", len(commands), "recordings")
    with ThreadPoolExecutor(2) as pool:
        for command, wave in zip(commands, pool.map(synthesiser.speak, commands), strict=True):
            write(audio / f"{command.id}.flac", wave)
            source = "py-nanotts" if command.voice in PICO_VOICES else "flite"
            progress.add()
            yield Recording(command.id, len(wave), command.voice, command.text, command.split, source)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--debian", type=Path, required=True, help="folder for downloaded packages")
    parser.add_argument("--audio", type=Path, required=True, help="output: folder of FLAC files")
    parser.add_argument("--table", type=Path, required=True, help="output: table of the recordings")
    arguments = parser.parse_args(argv)
    commands = plan(stage.settings(CommandsSettings, arguments.settings))
    root = debian.fetch(("flite", "libflite1"), arguments.debian)
    recordings = list(synthesise(commands, root, arguments.audio))
    write_table(arguments.table, recordings)
    minutes = sum(item.samples for item in recordings) / SAMPLE_RATE / 60
    words = vocabulary(item.text for item in recordings)
    voices = {item.speaker for item in recordings}
    print(
        f"command speech: {len(recordings)} recordings, {minutes:.1f} minutes, {len(voices)} voices, {len(words)} words"
    )


if __name__ == "__main__":
    stage.run(main)
