"""Reading recordings: one channel, one sample rate, float32 between -1 and 1.

There is one reader, for stages and commands: what one of them refuses, so do all.
"""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile

from daisy.common.disguise import disguise
from daisy.common.files import endless
from daisy.errors import DaisyError, WriteError

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16_000
"""HuBERT's sample rate in hertz."""

LOUDEST = 32.0
"""No signal between -1 and 1 goes so far beyond them, whatever was added to it; integers that were stored as
floating-point numbers do."""

OPEN_END = 0x7FFF0000
"""Sizes in a header from this on (2 GiB) mean that its writer did not know them, as with a pipe."""

_SIZE = re.compile(r"^ *(?:data|SSND|riff|Riff size|Data Size) +: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""How libsndfile notes a part of a file that is not as long as its header says."""

_SPHERE = re.compile(rb"sample_count -i (\d+)")

_END = 1000
"""Samples that are decoded of the end of a compressed recording, whose size does not tell whether it is whole."""


class Header(NamedTuple):
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

    @property
    def floating(self) -> bool:
        """Whether its samples are floating-point numbers, which can be any."""
        return self.subtype in ("FLOAT", "DOUBLE")


def header(path: str | Path, *, to_end: bool = True) -> Header:
    """What a recording's header says.

    Args:
        path: The file.
        to_end: Whether to find out that a FLAC or MP3 file is cut short, whose header alone looks whole; its samples
            stay unread otherwise.

    Raises:
        DaisyError: if the file is missing, no recording, or shorter than its header says.
    """
    with opened(Path(path)) as file:
        if to_end and file.format in ("FLAC", "MP3"):
            _check_end(file, Path(path))
        return _header(file)


def _header(file: soundfile.SoundFile) -> Header:
    return Header(file.frames, file.samplerate, file.channels, file.subtype)


def _check_end(file: soundfile.SoundFile, path: Path) -> None:
    count = min(_END, file.frames)
    try:
        file.seek(file.frames - count)
        read = len(file.read(count, dtype="float32"))
    except (soundfile.LibsndfileError, RuntimeError):
        read = 0
    if read < count:
        problem = f"the recording is cut short or damaged: the last of its {file.frames} samples cannot be decoded"
        raise DaisyError(problem, file=path, fix="Restore it")


def read(path: str | Path, *, samples: int | None = None, rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Read a WAV or FLAC file, or another one that libsndfile knows.

    Args:
        path: The file.
        samples: How many samples the manifest promises; None skips that check.
        rate: What its sample rate must be, in hertz.

    Returns:
        (samples,) float32.

    Raises:
        DaisyError: if the file is missing, damaged, cut short, empty, not mono, not at `rate`, or not as long
            as the manifest says, or holds NaN, infinity, or numbers far beyond 1.
    """
    path = Path(path)
    with opened(path) as file:
        told = _header(file)
        try:
            wave = file.read(dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable(path, error) from None
    if told.rate != rate:
        raise DaisyError(
            f"the sample rate is {told.rate} Hz, not {rate}",
            file=path,
            fix=f"Resample the recording to {rate / 1000:g} kHz (`daisy data import` does it for a folder)",
        )
    if wave.shape[1] != 1:
        raise DaisyError(f"{wave.shape[1]} channels, not one", file=path, fix="Mix the recording down to mono")
    if len(wave) < told.samples:
        raise _cut(path, f"{told.samples} samples, the file has {len(wave)}")
    if len(wave) == 0:
        raise DaisyError("the recording is empty", file=path, fix="Drop it from the manifest")
    if samples is not None and len(wave) != samples:
        raise DaisyError(
            f"{len(wave)} samples, but the manifest says {samples}",
            file=path,
            fix="The recording is cut short or was replaced: restore it, or make the manifest again",
        )
    if told.floating:
        _check_values(wave, path)
    import torch  # here, because it takes a second, and most stages on recordings do without

    return torch.from_numpy(np.ascontiguousarray(wave[:, 0]))


def opened(path: Path) -> soundfile.SoundFile:
    """The file, open for reading, and found to be as long as it says.

    Raises:
        DaisyError: if it is missing, no recording, or cut short.
    """
    if endless(path):
        # A pipe that nobody writes to would be waited for without an end.
        raise DaisyError("a pipe or a device, and no file", file=path, fix="Write what it gives to a file")
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    if file.frames == 0 and file.format in ("WAV", "WAVEX"):
        whole = _sized(path)
        file = soundfile.SoundFile(io.BytesIO(whole)) if whole else file
    for promised, held in _SIZE.findall(file.extra_info):
        if int(held) < int(promised) < OPEN_END:
            file.close()
            raise _cut(path, f"{promised} bytes, the file has {held}")
    # libsndfile takes the length of these from the file's alone.
    counted = _SPHERE.search(_beginning(path)) if file.format == "NIST" else None
    if counted and int(counted[1]) > file.frames:
        file.close()
        raise _cut(path, f"{int(counted[1])} samples, the file has {file.frames}")
    return file


def _beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(1024)


def _sized(path: Path) -> bytes:
    """A WAV file whose header knows no sizes, as a pipe's does, with those that it has; nothing for an empty one."""
    content = bytearray(path.read_bytes())
    place = 12
    while place + 8 <= len(content) and content[place : place + 4] != b"data":
        place += 8 + (size := struct.unpack_from("<I", content, place + 4)[0]) + size % 2
    held = len(content) - place - 8
    (riff,) = struct.unpack_from("<I", content, 4)
    # A file that is whole, and has chunks behind no samples at all, knows its own length.
    if held <= 0 or riff == len(content) - 8 or struct.unpack_from("<I", content, place + 4)[0]:
        return b""
    struct.pack_into("<I", content, 4, len(content) - 8)
    struct.pack_into("<I", content, place + 4, held)
    return bytes(content)


def _check_values(wave: np.ndarray, path: Path) -> None:
    lowest, highest = float(wave.min()), float(wave.max())  # which are NaN if one sample is; an hour is not copied
    if not np.isfinite([lowest, highest]).all():
        count = np.count_nonzero(~np.isfinite(wave))
        raise DaisyError(
            f"{count} of {len(wave)} samples are NaN or infinite", file=path, fix="Repair it, or leave it out"
        )
    peak = max(-lowest, highest)
    if peak > LOUDEST:
        raise DaisyError(
            f"its samples reach {peak:g}, far beyond 1, as integers do that are stored as floating-point numbers",
            file=path,
            fix="Divide them by what was full scale, for example 32768",
        )


def _cut(path: Path, sizes: str) -> DaisyError:
    return DaisyError(f"the recording is cut short: its header says {sizes}", file=path, fix="Restore it")


def _unreadable(path: Path, error: Exception) -> DaisyError:
    """Why a file cannot be read, by what it is."""
    if not path.exists():
        broken = f", since it is a link to {os.readlink(path)}, which is not there" if path.is_symlink() else ""
        fix = "Restore it, or correct what names it" if not broken else "Restore what it links to"
        return DaisyError(f"the recording does not exist{broken}", file=path, fix=fix)
    if path.is_dir():
        return DaisyError("a folder, not a recording", file=path, fix="Name the files in it")
    try:
        found = disguise(path)
    except OSError as refused:
        reason = refused.strerror or refused
        return DaisyError(f"the recording cannot be opened ({reason})", file=path, fix="Make it readable")
    if found:
        return DaisyError(f"this is no recording but {found.what}", file=path, fix=found.fix)
    # Of libsndfile's message the end; before it stands the path, once more.
    reason = str(error).replace(repr(str(path)), "").strip(" .").rpartition(": ")[2]
    return DaisyError(
        f"the recording cannot be read ({reason})", file=path, fix="Replace the file, or drop it from the manifest"
    )


def write(path: str | Path, wave: np.ndarray) -> None:
    """Write float samples between -1 and 1 as 16-bit FLAC or WAV (by the file's ending) at 16 kHz.

    Raises:
        WriteError: if it cannot be written, as on a full disk.
    """
    clipped = np.clip(np.asarray(wave, dtype=np.float32), -1.0, 32767 / 32768)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(str(path), clipped, SAMPLE_RATE, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError, RuntimeError) as error:
        raise WriteError(
            f"the recording cannot be written ({error})", file=path, fix="Free some space, or correct the path"
        ) from None
