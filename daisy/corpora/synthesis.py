"""The synthesisers that speak sentences: Flite (Debian) and SVOX Pico (`py-nanotts`)."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from daisy.common.audio import SAMPLE_RATE
from daisy.errors import DaisyError

PICO_VOICES = {"pico-us": "en-US", "pico-gb": "en-GB"}

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
