"""Adding noise to speech at an exact signal-to-noise ratio: pure functions on arrays.

The ratio is that of the mean powers over the whole utterance, pauses included, as in the recipes of
VoiceBank-DEMAND and of most noise studies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from daisy.errors import DaisyError

PEAK = 0.99
"""A mixture that would clip is scaled to this peak."""

SILENT = 1e-10
"""Mean power, relative to full scale, under which a signal counts as silence: -100 dB, less than 16 bits hold."""

_LOUD_ENOUGH = 1e-4
"""An excerpt's least share of its recording's mean power: 40 dB below it lies a pause or a fade."""

_DRAWS = 16


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Speech with noise.

    Attributes:
        wave: (samples,) float32 between -1 and 1.
        scale: What speech and noise were multiplied by so that nothing clips; 1 for most mixtures. A clean
            reference has to be multiplied by it too.
    """

    wave: np.ndarray
    scale: float


def power(wave: np.ndarray) -> float:
    """The mean of the squared samples, in double precision."""
    return float(np.mean(np.square(wave, dtype=np.float64)))


def loop(wave: np.ndarray, samples: int) -> np.ndarray:
    """Repeat `wave` from its start until it has `samples` samples; a longer one is cut."""
    return np.resize(wave, samples)


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> Mixture:
    """Add `noise` to `speech`.

    Args:
        speech: (samples,).
        noise: As long as the speech (`excerpt` cuts it), or shorter: then it is looped.
        snr_db: 10 log10 of the power of the speech over that of the noise, over the whole utterance.

    Returns:
        The mixture. Where its peak would exceed full scale, all of it is scaled down: the ratio stays.

    Raises:
        DaisyError: if either is silent, or the noise is longer than the speech.
    """
    if len(noise) > len(speech):
        raise DaisyError(
            f"{len(noise)} samples of noise for {len(speech)} of speech", fix="Cut an excerpt of the noise first"
        )
    fitted = loop(noise, len(speech)).astype(np.float64)
    powers = {"speech": power(speech), "noise": power(fitted)}
    for name, value in powers.items():
        if not value > SILENT:
            raise DaisyError(f"the {name} is silent, so no ratio to it is defined", fix=f"Use another {name}")
    gain = np.sqrt(powers["speech"] / powers["noise"] / 10 ** (snr_db / 10))
    mixture = speech + gain * fitted
    scale = min(1.0, PEAK / float(np.abs(mixture).max()))
    return Mixture((scale * mixture).astype(np.float32), scale)


def excerpt(noise: np.ndarray, samples: int, chance: np.random.Generator) -> np.ndarray:
    """A stretch of `samples` samples from a random place of `noise`; a shorter recording is looped.

    A place where the recording pauses is drawn again, or amplification would turn its hiss into the noise;
    if all draws are quiet the loudest of them is taken.
    """
    if len(noise) <= samples:
        return loop(noise, samples)
    least = _LOUD_ENOUGH * power(noise)
    drawn: list[np.ndarray] = []
    for _ in range(_DRAWS):
        start = int(chance.integers(len(noise) - samples + 1))
        drawn.append(noise[start : start + samples])
        if power(drawn[-1]) >= least:
            return drawn[-1]
    return max(drawn, key=power)


def white(samples: int, chance: np.random.Generator) -> np.ndarray:
    """(samples,) float32 of Gaussian white noise at -20 dB of full scale: stationary, every frequency alike."""
    return (0.1 * chance.standard_normal(samples)).astype(np.float32)


def babble(voices: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """Several voices at once, each looped to `samples` and of equal power.

    Returns:
        (samples,) float32 with a peak of at most `PEAK`.

    Raises:
        DaisyError: if there is no voice, or one is silent.
    """
    if not voices:
        raise DaisyError("babble of no voices", fix="Give at least two recordings")
    total = np.zeros(samples)
    for number, voice in enumerate(voices, start=1):
        fitted = loop(voice, samples)
        if not power(fitted) > SILENT:
            raise DaisyError(f"voice {number} of the babble is silent", fix="Use another recording")
        total += fitted / np.sqrt(power(fitted))
    return (total * PEAK / np.abs(total).max()).astype(np.float32)
