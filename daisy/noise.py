"""Mixing speech with noise at an exact signal-to-noise ratio, and making babble from voices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PEAK = 0.99
"""No sample of a mixture is larger, so that 16-bit files do not clip."""


def power(wave: np.ndarray) -> float:
    """Mean square of (samples,)."""
    return float(np.mean(np.square(wave, dtype=np.float64)))


def unclipped(mixture: np.ndarray, *references: np.ndarray) -> tuple[np.ndarray, ...]:
    """A mixture and its references, all scaled by one factor if the mixture or one of them would clip."""
    peak = max(float(np.abs(item).max(initial=0.0)) for item in (mixture, *references))
    scale = min(1.0, PEAK / peak) if peak > 0 else 1.0
    return tuple(scale * item for item in (mixture, *references))


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to speech, at a ratio of their mean powers over the whole utterance.

    Args:
        speech: (samples,).
        noise: (samples,).
        snr_db: 10 log10 of speech power over noise power.

    Returns:
        The mixture, and the speech as it is in the mixture: scaled with it where it would clip.

    Raises:
        ValueError: if lengths differ, or if one of the two is silent.
    """
    if speech.shape != noise.shape:
        raise ValueError(f"speech of {speech.shape} and noise of {noise.shape} samples")
    if min(power(speech), power(noise)) <= 0:
        raise ValueError("silence has no signal-to-noise ratio")
    gain = np.sqrt(power(speech) / power(noise) / 10 ** (snr_db / 10))
    mixture, reference = unclipped(speech + gain * noise, speech)
    return mixture, reference


def excerpt(wave: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A stretch of `samples` samples at a random place; a shorter recording is repeated."""
    if len(wave) < samples:
        wave = np.tile(wave, -(-samples // len(wave)))
    start = int(rng.integers(len(wave) - samples + 1))
    return wave[start : start + samples]


def babble(voices: Sequence[Sequence[np.ndarray]], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Voices at once, all at the same power, each speaking its recordings one after the other in random order.

    Args:
        voices: Of every voice its recordings, each (samples,).
        samples: Length of the babble.
        rng: Random numbers of orders and starts.
    """
    total = np.zeros(samples)
    for recordings in voices:
        chain = np.concatenate([recordings[index] for index in rng.permutation(len(recordings))])
        part = excerpt(chain, samples, rng)
        total += part / np.sqrt(power(part) + 1e-12)
    return total
