"""One recording, clean and under noise: every layer's entropy, where it stops, and what that costs."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daisy.common import audio
from daisy.common.seeds import generator
from daisy.corpora.mixing import excerpt, mix, white
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.exits.signals import ENTROPY
from daisy.library.arithmetic import spent
from daisy.library.model import Daisy

CLEAN = "clean"
GENERATED = ("white", "pink", "speech-shaped")
"""Noise that needs no recording: the same power at every frequency; half of it per octave up; the spectrum of the
recording itself, as hearing tests have it."""

LOWEST = 50.0
"""In hertz: below it, pink noise gets no louder, since nothing of speech lies there."""

SMOOTH = 50.0
"""In hertz: over so wide a band the recording's spectrum is averaged, which leaves its formants and not its pitch."""


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a model makes of a recording under one condition.

    Attributes:
        kind: The noise; ``clean`` for none.
        snr_db: The signal-to-noise ratio in dB; None for none.
        entropies: (K,) of every branch, in nats, or the signal that is asked in its place.
        stop: The layer at which it stops.
        share: Of the whole model's multiply-accumulate operations, those up to there, asked branches included.
    """

    kind: str
    snr_db: float | None
    entropies: np.ndarray
    stop: int
    share: float


def recording(path: Path, shortest: int) -> tuple[np.ndarray, str]:
    """(samples,) of a recording of any rate and channels, at 16 kHz, and what was done to it; nothing for most.

    Args:
        path: In any format that libsndfile reads.
        shortest: Samples that the model makes one frame of.

    Raises:
        DaisyError: if it is missing, damaged, empty, too short, or no recording.
    """
    told = audio.header(path, to_end=False)  # it is decoded to its end below
    if not told.samples:
        raise DaisyError("the recording is empty", file=path, fix="Give another one")
    if (told.rate, told.channels) == (audio.SAMPLE_RATE, 1):
        wave, done = audio.read(path).numpy(), ""
    else:
        done = f"{told.rate} Hz, {told.channels} channel{'s' * (told.channels > 1)}: taken at 16 kHz, one channel"
        # Here, because torchaudio takes a second, and most recordings do without.
        from daisy.corpora.headers import Unreadable
        from daisy.corpora.incoming.convert import convert
        from daisy.corpora.incoming.entries import Entry

        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder, "made.flac")
            try:
                convert(Entry(path, path.stem), made)
            except Unreadable as error:
                raise DaisyError(error.problem, file=path, fix=error.fix) from None
            wave = audio.read(made).numpy()
    if len(wave) < shortest:
        problem = f"{len(wave)} samples, and the model needs {shortest} for its first frame"
        raise DaisyError(problem, file=path, fix="Give a longer recording")
    return wave, done


def noise_for(kind: str, speech: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Noise as long as the speech: of a kind in `GENERATED`, or a stretch of the recording that `kind` is the file of.

    Raises:
        DaisyError: if it is neither.
    """
    if kind == "white":
        return white(len(speech), chance)
    if kind in GENERATED:
        frequencies = np.fft.rfftfreq(len(speech), 1 / audio.SAMPLE_RATE)
        shape = np.maximum(frequencies, LOWEST) ** -0.5 if kind == "pink" else _shape(speech)
        spectrum = np.fft.rfft(chance.standard_normal(len(speech)))
        return np.fft.irfft(spectrum * shape, len(speech)).astype(np.float32)
    if not Path(kind).is_file():
        problem = f"no noise and no file: {kind!r}"
        raise DaisyError(problem, fix=f"Give {', '.join(GENERATED)}, or a recording of music, babble or what you like")
    return excerpt(recording(Path(kind), 1)[0], len(speech), chance)


def _shape(speech: np.ndarray) -> np.ndarray:
    """The speech's amplitude at every frequency of its transform, smoothed."""
    powers = np.abs(np.fft.rfft(speech)) ** 2
    sums = np.concatenate([[0.0], np.cumsum(powers)])
    half = max(1, round(SMOOTH * len(speech) / audio.SAMPLE_RATE / 2))
    low, high = (np.clip(np.arange(len(powers)) + step, 0, len(powers)) for step in (-half, half + 1))
    smooth: np.ndarray = np.sqrt((sums[high] - sums[low]) / (high - low))
    return smooth


def heard(
    model: Daisy,
    speech: np.ndarray,
    rule: ExitRule,
    *,
    kind: str | None = None,
    snrs: Sequence[float],
    seed: int,
    signal: str = ENTROPY,
) -> list[Heard]:
    """What the model makes of a recording, clean and then under noise of one kind at every ratio.

    The noise is the same at all ratios, so that they differ by its level alone.

    Args:
        model: With branches.
        speech: (samples,) at 16 kHz.
        rule: Where it may stop.
        kind: The noise, as `noise_for` takes it; None for none.
        snrs: The ratios in dB.
        seed: The noise's.
        signal: What the branches are asked for.

    Raises:
        DaisyError: if there is no such noise or signal, or speech or noise are silent.
    """
    conditions: list[tuple[str, float | None, np.ndarray]] = [(CLEAN, None, speech)]
    if kind is not None:
        noise = noise_for(kind, speech, generator(seed, "noise", kind))
        name = kind if kind in GENERATED else Path(kind).stem
        conditions += [(name, snr, mix(speech, noise, snr).wave) for snr in snrs]
    found = []
    for name, snr_db, wave in conditions:
        values = np.asarray(model.measured([wave], signal)[0])
        stop = rule.layer(values.tolist())
        found.append(Heard(name, snr_db, values, stop, share(model, rule, len(wave), stop, signal)))
    return found


def share(model: Daisy, rule: ExitRule, samples: int, stop: int, signal: str = ENTROPY) -> float:
    """The operations of a recording that stops at a layer, over those of the whole model without branches."""
    return spent(model.upstream(signal), rule, samples, stop) / model.config.macs(samples, model.layers)
