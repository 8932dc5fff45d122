"""One recording of any rate, channels and format becomes a FLAC file of one channel at 16 kHz."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import soundfile
import torch

from daisy.common import audio
from daisy.common.audio import SAMPLE_RATE, Header
from daisy.common.files import atomic
from daisy.common.torchaudio_shim import torchaudio
from daisy.corpora.headers import SHORTEST, Unreadable, decode, read_header
from daisy.corpora.incoming.entries import Entry

_AS_IT_IS = ("PCM_16", "PCM_S8", "PCM_U8")
"""Samples that 16 bits hold whole."""

_LATE = 0.1
"""Seconds that a stretch may end after its recording, by rounding."""

_CANCELLED = 0.03
"""Mixed channels are this much quieter than each of them only if they cancel each other out."""


@dataclasses.dataclass(frozen=True)
class Converted:
    """What became of a recording.

    Attributes:
        samples: Its length at 16 kHz.
        notes: What is unusual about it.
    """

    samples: int
    notes: tuple[str, ...]


def convert(entry: Entry, out: Path) -> Converted:
    """Write a recording, or a stretch of one, to `out`.

    Samples that are at 16 kHz, of one channel and at most 16 bits already stay as they are.

    Raises:
        Unreadable: if it cannot be decoded to its end, or nothing is left of it.
        WriteError: if the disk is full.
    """
    header = read_header(entry.path, to_end=False)  # it is decoded to its end, or to where it is cut on purpose
    first, last = _bounds(entry, header)
    whole = entry.start == 0 and entry.end is None and entry.channel in (None, 0)
    if whole and (header.rate, header.channels) == (SAMPLE_RATE, 1) and header.subtype in _AS_IT_IS:
        exact = decode(entry.path, "int16")[:, 0]
        _long_enough(len(exact))
        with atomic(out) as temporary:
            soundfile.write(str(temporary), exact, SAMPLE_RATE, subtype="PCM_16")
        return Converted(len(exact), () if exact.any() else (SILENT,))
    wave = decode(entry.path, "float32", first, last)
    if not np.isfinite(wave).all():
        raise Unreadable("not finite", "it holds NaN or infinity", "Write it again, or leave it out")
    if np.abs(wave).max(initial=0) > audio.LOUDEST:
        problem = "its samples are far beyond 1: whole numbers, stored as others"
        raise Unreadable("loud", problem, "Divide them by 32768, or leave it out")
    mono, notes = _mixed(wave, entry.channel)
    if len(wave) < (header.samples if last is None else last) - first:
        notes += (EARLY,)
    made = torchaudio.functional.resample(torch.from_numpy(mono), header.rate, SAMPLE_RATE).numpy()
    _long_enough(len(made))
    if np.abs(made).max() > 1.001:
        notes += (LOUD,)
    with atomic(out) as temporary:
        audio.write(temporary, made)
    return Converted(len(made), notes)


SILENT = "recordings are silent throughout"
EARLY = "recordings end before what their headers say, and may be cut short"
LOUD = "recordings are beyond full scale, and clipped"
OPPOSED = "recordings have channels that cancel each other out"


def _bounds(entry: Entry, header: Header) -> tuple[int, int | None]:
    """The first sample of an entry, and the one behind its last; None for the end of the file."""
    first = round(entry.start * header.rate)
    if entry.end is None:
        return first, None
    last = round(entry.end * header.rate)
    if not 0 <= first < last or last > header.samples + _LATE * header.rate:
        problem = f"it is cut from {entry.start:g} to {entry.end:g} s, but lasts {header.samples / header.rate:g} s"
        raise Unreadable("a stretch", problem, "Correct the times")
    return first, min(last, header.samples)


def _mixed(wave: np.ndarray, channel: int | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """(samples,) of one channel or of all, and what is unusual."""
    channels = wave.shape[1]
    if channel is not None:
        if not 0 <= channel < channels:
            raise Unreadable("a channel", f"there is no channel {channel} of {channels}", "Correct the channel")
        return np.ascontiguousarray(wave[:, channel]), () if wave[:, channel].any() else (SILENT,)
    mono = wave.mean(axis=1, dtype=np.float32)
    if not wave.any():
        return mono, (SILENT,)
    loudest = np.sqrt((wave**2).mean(axis=0).max())
    opposed = channels > 1 and np.sqrt((mono**2).mean()) < _CANCELLED * loudest
    return mono, (OPPOSED,) if opposed else ()


def _long_enough(samples: int) -> None:
    if samples < SHORTEST:
        problem = f"{samples} samples at 16 kHz, and HuBERT needs {SHORTEST} for its first frame"
        raise Unreadable("short", problem, "Leave it out")
