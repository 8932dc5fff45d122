"""Noise, other speech and rooms for recordings of a batch, as WavLM does.

Draws follow from the step, never from what came before. A room is an impulse and behind it noise that decays
exponentially, so that nothing moves in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from daisy.common.audio import SAMPLE_RATE
from daisy.corpora.mixing import SILENT, excerpt, mix, power
from daisy.pretraining.settings import AugmentSettings

Chance = np.random.Generator
Track = Callable[[Chance], np.ndarray]
"""Draws a recording of noise."""


def coloured(chance: Chance, samples: int) -> np.ndarray:
    """(samples,) of noise whose power falls with the frequency to a random power between 0 (white) and 2 (brown)."""
    spectrum = np.fft.rfft(chance.standard_normal(samples))
    frequencies = np.maximum(np.arange(len(spectrum)), samples * 50 / SAMPLE_RATE)  # nothing to be heard under 50 Hz
    wave = np.fft.irfft(spectrum * frequencies ** -chance.uniform(0.0, 1.0), samples)
    return (0.1 * wave / (wave.std() + 1e-12)).astype(np.float32)


def room(wave: np.ndarray, decay: float, direct_db: float, chance: Chance) -> np.ndarray:
    """A recording in a room, as loud as before and as long.

    Args:
        wave: (N,).
        decay: Seconds in which the room's sound falls by 60 dB.
        direct_db: Power of the direct sound over that of the room.
        chance: Draws the room.
    """
    times = np.arange(1, int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = chance.standard_normal(len(times)) * np.exp(-3 * np.log(10) * times / decay)
    response = np.concatenate([[1.0], tail * 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))])
    size = 1 << (len(wave) + len(response) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[: len(wave)]
    return (wet * np.sqrt(power(wave) / max(power(wet), SILENT))).astype(np.float32)


def _over(wave: np.ndarray, other: np.ndarray, ratio_db: float) -> np.ndarray:
    """`other` added; silence, to which no ratio is defined, changes nothing."""
    return wave if min(power(wave), power(other)) <= SILENT else mix(wave, other, ratio_db).wave


def _beside(wave: np.ndarray, other: np.ndarray, ratio_db: float, chance: Chance) -> np.ndarray:
    """`other` over a random stretch of up to half of the recording, so that it is plain who is meant."""
    length = int(chance.integers(1, len(wave) // 2 + 1))
    at, begin = int(chance.integers(len(wave) - length + 1)), int(chance.integers(max(1, len(other) - length + 1)))
    stretch = other[begin : begin + length]
    if min(power(wave), power(stretch)) <= SILENT:
        return wave
    added = np.array(wave)
    gain = np.sqrt(power(wave) / power(stretch) / 10 ** (ratio_db / 10))
    added[at : at + len(stretch)] += (gain * stretch).astype(np.float32)
    return added


def augment(
    waves: Sequence[np.ndarray], settings: AugmentSettings, chance: Chance, track: Track | None = None
) -> list[np.ndarray]:
    """A batch with its share of rooms, other speech (of the same batch) and noise; the recordings stay as they are.

    Args:
        waves: (N,) float32 each.
        settings: Shares and ratios.
        chance: Draws everything.
        track: Where half of the noise comes from; the other half, and all without it, is coloured noise.
    """
    result = []
    for place, wave in enumerate(waves):
        new = wave
        if chance.random() < settings.reverberation:
            new = room(new, chance.uniform(*settings.decay), chance.uniform(0.0, 10.0), chance)
        if chance.random() < settings.speech and len(waves) > 1:
            other = waves[(place + 1 + int(chance.integers(len(waves) - 1))) % len(waves)]
            new = _beside(new, other, chance.uniform(*settings.speech_db), chance)
        if chance.random() < settings.noise:
            noise = coloured(chance, len(new)) if track is None or chance.random() < 0.5 else track(chance)
            new = _over(new, excerpt(noise, len(new), chance), chance.uniform(*settings.noise_db))
        result.append(new)
    return result
