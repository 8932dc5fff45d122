"""Frames of one layer of HuBERT, or MFCC, recording by recording: what targets are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from daisy.common.batches import batches
from daisy.common.compute import BATCH, Compute, memory
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError

MFCC = "mfcc"
"""The `layer` that stands for mel-frequency cepstra, the targets of HuBERT's first iteration."""


def mfcc(wave: torch.Tensor) -> torch.Tensor:
    """(T, 39): 13 mel-frequency cepstra at 100 Hz with first and second differences, as HuBERT's recipe."""
    from daisy.common.torchaudio_shim import torchaudio

    cepstra = torchaudio.compliance.kaldi.mfcc(wave[None], sample_frequency=16_000, use_energy=False).T
    deltas = torchaudio.functional.compute_deltas(cepstra)
    return torch.cat([cepstra, deltas, torchaudio.functional.compute_deltas(deltas)]).T.contiguous()


def features(
    manifest: Manifest, layer: int | str, checkpoint: Path | None, batch_seconds: float, compute: Compute
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (index, (T, D) float32) for every utterance, in an order that makes full batches.

    Args:
        manifest: The recordings.
        layer: A layer from 1, or ``"mfcc"`` (D is then 39 and the rate 100 Hz).
        checkpoint: HuBERT; not needed for MFCC.
        batch_seconds: Audio in one forward pass.
        compute: Where the frames are computed, and stay.
    """
    device = compute.place()
    if layer == MFCC:
        for index in range(len(manifest)):
            yield index, mfcc(manifest.wave(index)).to(device)
        return
    from daisy.hubert.checkpoint import load

    if checkpoint is None:
        raise DaisyError(f"layer {layer} needs a checkpoint", fix="Pass --checkpoint")
    hubert = load(checkpoint).to(device).encoder
    if not 1 <= int(layer) <= hubert.config.layers:
        raise DaisyError(
            f"layer {layer} does not exist", file=checkpoint, fix=f"Choose a layer from 1 to {hubert.config.layers}"
        )
    for batch in batches([item.samples for item in manifest.utterances], batch_seconds):
        with memory(manifest.utterances[batch[0]].id, BATCH), torch.inference_mode(), compute.autocast():
            frames = hubert.output([manifest.wave(index).to(device) for index in batch], int(layer))
        for index, states in zip(batch, frames.split(), strict=True):
            yield index, states.float()
