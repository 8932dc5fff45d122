"""What one audio file holds, without torch: by its header, or decoded to its end."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import soundfile

from daisy.corpora.faults import Fault

SHORTEST = 400
"""Samples that HuBERT makes one frame of."""

POINTER = b"version https://git-lfs"
_STREAMED = (0, 2**32 - 1)
"""Sizes in the header of a WAV file whose writer could not go back to it."""
_BLOCK = 1 << 18


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        samples: Its length.
        rate: In hertz.
        channels: How many.
        subtype: How libsndfile calls the samples, such as ``PCM_16``.
    """

    samples: int
    rate: int
    channels: int
    subtype: str


class Unreadable(Exception):
    """A file that cannot be used.

    Args:
        kind: What it has in common with others.
        problem: What is wrong with it.
        fix: What to do about it.
    """

    def __init__(self, kind: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.kind, self.problem, self.fix = kind, problem, fix

    def fault(self, name: str, shown: str) -> Fault:
        """The same as a fault of the recording `name`, whose file is `shown`."""
        return Fault(self.kind, name, f"{shown}: {self.problem}", self.fix)


def read_header(path: Path) -> Header:
    """The header of a recording.

    Raises:
        Unreadable: if there is none, or it is a WAV file shorter than it says.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(32)
            length = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise Unreadable("missing", f"it cannot be opened ({error.strerror})", "Restore it, or leave it out") from None
    if not length:
        raise Unreadable("empty", "an empty file", "Restore it, or leave it out")
    if start.startswith(POINTER):
        raise Unreadable("pointer", "a Git-LFS pointer and no audio", "Fetch the files with `git lfs pull`")
    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise Unreadable("unreadable", f"it cannot be decoded ({reason})", "Replace it, or leave it out") from None
    size = int.from_bytes(start[4:8], "little")
    if start[:4] == b"RIFF" and size not in _STREAMED and size + 8 > length + 1:
        problem = f"cut short: {length} bytes, but its header promises {size + 8}"
        raise Unreadable("cut short", problem, "Restore it, or leave it out")
    return Header(header.frames, header.samplerate, header.channels, header.subtype)


def count_samples(path: Path, header: Header) -> int:
    """How many samples a recording has, every one of them decoded.

    Raises:
        Unreadable: if it ends early or in noise that is none, NaN or infinity.
    """
    samples = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            for block in file.blocks(_BLOCK, dtype="float32"):
                samples += len(block)
                if not np.isfinite(block).all():
                    raise Unreadable("not finite", "it holds NaN or infinity", "Write it again, or leave it out")
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise Unreadable("unreadable", f"it cannot be decoded ({reason})", "Replace it, or leave it out") from None
    # The length of compressed files can be a guess; lossless ones know it.
    if samples < header.samples and header.subtype.startswith(("PCM", "FLOAT", "DOUBLE")):
        problem = f"cut short: {samples} samples, but its header promises {header.samples}"
        raise Unreadable("cut short", problem, "Restore it, or leave it out")
    return samples
