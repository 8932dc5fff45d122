"""Frames of one layer of HuBERT, or MFCC, recording by recording: what targets are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from daisy.common.compute import Compute
from daisy.errors import DaisyError

MFCC = "mfcc"
"""The `layer` that stands for mel-frequency cepstra, the targets of HuBERT's first iteration."""


def mfcc(wave: Tensor) -> Tensor:
    """(T, 39): 13 mel-frequency cepstra at 100 Hz with first and second differences, as HuBERT's recipe."""
    from daisy.common.torchaudio_shim import torchaudio

    cepstra = torchaudio.compliance.kaldi.mfcc(wave[None], sample_frequency=16_000, use_energy=False).T
    deltas = torchaudio.functional.compute_deltas(cepstra)
    return torch.cat([cepstra, deltas, torchaudio.functional.compute_deltas(deltas)]).T.contiguous()


def place(layer: int | str, compute: Compute) -> torch.device:
    """Where frames of a layer are computed; MFCC, which are little work, on the CPU."""
    return torch.device("cpu") if layer == MFCC else compute.place()


def frames_of(layer: int | str, checkpoint: Path | None, compute: Compute) -> Callable[[list[Tensor]], list[Tensor]]:
    """What gives (T, D) float32 of every recording (samples,) of a batch, on the recordings' device.

    Args:
        layer: A layer from 1, or ``"mfcc"`` (D is then 39 and the rate 100 Hz).
        checkpoint: HuBERT; not needed for MFCC.
        compute: Where the recordings will be, and how precisely frames are computed.

    Raises:
        DaisyError: if there is no checkpoint, or it has no such layer.
    """
    if layer == MFCC:
        return lambda waves: [mfcc(wave) for wave in waves]
    from daisy.hubert.checkpoint import load

    if checkpoint is None:
        raise DaisyError(f"layer {layer} needs a checkpoint", fix="Pass --checkpoint")
    hubert = load(checkpoint).to(compute.place()).encoder
    if not 1 <= int(layer) <= hubert.config.layers:
        raise DaisyError(
            f"layer {layer} does not exist", file=checkpoint, fix=f"Choose a layer from 1 to {hubert.config.layers}"
        )

    def run(waves: list[Tensor]) -> list[Tensor]:
        with torch.inference_mode(), compute.autocast():
            return [states.float() for states in hubert.output(waves, int(layer)).split()]

    return run
