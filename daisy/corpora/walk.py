"""The way of every stage that runs a model over all recordings of a manifest once, batch by batch.

Recordings are read ahead, and what comes of them is kept beside the next pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from daisy.common.ahead import ahead
from daisy.common.batches import batches
from daisy.common.beside import Beside
from daisy.common.compute import BATCH, memory
from daisy.common.progress import Progress
from daisy.common.transfer import Fetched, Sent, located, reading
from daisy.corpora.utterances import Manifest


def walk(
    manifest: Manifest,
    batch_seconds: float,
    device: torch.device,
    progress: Progress,
    run: Callable[[list[Tensor]], list[Tensor]],
    keep: Callable[[list[int], list[Tensor]], None],
) -> None:
    """Run a model over all recordings, in an order that makes full batches, the longest first.

    Args:
        manifest: The recordings.
        batch_seconds: Audio in one pass.
        device: Where the model is.
        progress: Is told the seconds of audio.
        run: Of a batch's recordings (samples,) on the device: what is wanted of them, as tensors of one kind.
        keep: Takes the indices of a batch and what `run` gave, on the CPU; it is called in a thread of its own, for
            one batch after the other.

    Raises:
        DaisyError: if a recording cannot be read, or there is too little memory. What `keep` raises goes through.
    """
    device = located(device)

    def guarded(batch: list[int]) -> contextlib.AbstractContextManager[None]:
        return memory(manifest.utterances[batch[0]].id, BATCH)

    def read(batch: list[int]) -> tuple[list[int], Sent]:
        with guarded(batch):
            return batch, Sent([manifest.wave(index) for index in batch], device)

    def write(made: tuple[list[int], Fetched]) -> None:
        batch, fetched = made
        with guarded(batch):
            keep(batch, fetched.arrived())
        progress.add(sum(manifest.utterances[index].samples for index in batch) / 16_000)

    groups = batches([item.samples for item in manifest.utterances], batch_seconds)
    with Beside(write) as beside, contextlib.closing(ahead(groups, read, *reading(device))) as found:
        for batch, sent in found:
            with guarded(batch):
                fetched = Fetched(run(sent.arrived()))
            beside.put((batch, fetched))
