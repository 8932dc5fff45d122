"""What one audio file holds, without torch: by its header, or decoded to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from daisy.common import audio
from daisy.common.audio import Header
from daisy.corpora.faults import Fault
from daisy.errors import DaisyError

SHORTEST = 400
"""Samples that HuBERT makes one frame of."""

_BLOCK = 1 << 18


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


def read_header(path: Path, *, to_end: bool = True) -> Header:
    """The header of a recording; see `daisy.common.audio.header`.

    Raises:
        Unreadable: if there is none, or it is shorter than it says.
    """
    with _telling(path):
        return audio.header(path, to_end=to_end)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A recording, open for reading by the one reader that all stages share.

    Raises:
        Unreadable: if that cannot read it.
    """
    with _telling(path), audio.opened(path) as file:
        yield file


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Tell whatever keeps a recording from being read.

    Raises:
        Unreadable: if something does.
    """
    try:
        if not path.stat().st_size:
            raise Unreadable("empty", "an empty file", "Restore it, or leave it out")
        yield
    except OSError as error:
        raise Unreadable("missing", f"it cannot be opened ({error.strerror})", "Restore it, or leave it out") from None
    except DaisyError as error:
        fix = error.fix.replace("drop it from the manifest", "leave it out")
        raise Unreadable(fix, error.problem, fix) from None
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise Unreadable("unreadable", f"it cannot be decoded ({reason})", "Replace it, or leave it out") from None


def decode(path: Path, kind: str, first: int = 0, last: int | None = None) -> np.ndarray:
    """(samples, channels) of a recording from `first` on to `last`, or to its end.

    Raises:
        Unreadable: if it ends early.
    """
    with _opened(path) as file:
        file.seek(first)
        promised = (file.frames if last is None else last) - first
        wave = file.read(promised, dtype=kind, always_2d=True)
        # The length of compressed files can be a guess, and lossless ones know it.
        if len(wave) < promised and file.subtype.startswith(("PCM", "FLOAT", "DOUBLE")):
            raise _cut(len(wave), promised)
    return wave


def _cut(samples: int, promised: int) -> Unreadable:
    problem = f"cut short: {samples} samples, but its header promises {promised}"
    return Unreadable("cut short", problem, "Restore it, or leave it out")


def count_samples(path: Path) -> int:
    """How many samples a recording has, every one of them decoded.

    Raises:
        Unreadable: if it ends early or in noise that is none, NaN or infinity.
    """
    samples = 0
    with _opened(path) as file:
        while len(block := file.read(_BLOCK, dtype="float32")):  # soundfile's own blocks are whole where files are not
            samples += len(block)
            if not np.isfinite(block).all():
                raise Unreadable("not finite", "it holds NaN or infinity", "Write it again, or leave it out")
            if np.abs(block).max(initial=0) > audio.LOUDEST:
                problem = "its samples are far beyond 1: whole numbers, stored as others"
                raise Unreadable("loud", problem, "Divide them by 32768, or leave it out")
        if samples < file.frames:
            raise _cut(samples, file.frames)
    return samples
