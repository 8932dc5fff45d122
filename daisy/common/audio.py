"""Reading recordings: one channel, one sample rate, float32 between -1 and 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from daisy.errors import DaisyError, WriteError

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16_000
"""HuBERT's sample rate in hertz."""


def read(path: str | Path, *, samples: int | None = None, rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Read a WAV or FLAC file.

    Args:
        path: The file.
        samples: How many samples the manifest promises; None skips that check.
        rate: What its sample rate must be, in hertz.

    Returns:
        (samples,) float32.

    Raises:
        DaisyError: if the file is missing, damaged, empty, not mono, not at `rate`, or not as long
            as the manifest says.
    """
    try:
        wave, file_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        if not Path(path).exists():
            raise DaisyError(
                "the recording does not exist", file=path, fix="Restore it, or make the manifest again"
            ) from None
        raise DaisyError(
            f"the recording cannot be read ({error})", file=path, fix="Replace the file, or drop it from the manifest"
        ) from None
    if file_rate != rate:
        raise DaisyError(
            f"the sample rate is {file_rate} Hz, not {rate}",
            file=path,
            fix=f"Resample the recording to {rate / 1000:g} kHz",
        )
    if wave.shape[1] != 1:
        raise DaisyError(f"{wave.shape[1]} channels, not one", file=path, fix="Mix the recording down to mono")
    if len(wave) == 0:
        raise DaisyError("the recording is empty", file=path, fix="Drop it from the manifest")
    if samples is not None and len(wave) != samples:
        raise DaisyError(
            f"{len(wave)} samples, but the manifest says {samples}",
            file=path,
            fix="The recording is cut short or was replaced: restore it, or make the manifest again",
        )
    import torch  # here, because it takes a second, and most stages on recordings do without

    return torch.from_numpy(np.ascontiguousarray(wave[:, 0]))


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
