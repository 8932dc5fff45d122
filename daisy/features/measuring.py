"""Ask every branch about every recording of a manifest: one pass of the model, and no state is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from daisy.common.compute import Compute
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest
from daisy.corpora.walk import walk
from daisy.errors import DaisyError
from daisy.exits.signals import ENTROPY
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.every_layer import entropies_of
from daisy.hubert.signals import every_signal


def with_branches(path: Path, compute: Compute) -> Checkpoint:
    """A model that has exit branches, on its device.

    Raises:
        DaisyError: if it has none.
    """
    model = load(path).to(compute.place())
    if model.branches is None:
        raise DaisyError("the model has no exit branches", file=path, fix="Train branches for it first")
    return model


def signals_of(
    model: Checkpoint, manifest: Manifest, batch_seconds: float, signals: Sequence[str], label: str
) -> dict[str, np.ndarray]:
    """What the branches say of a manifest's recordings, (N, K) by signal; `label` is what progress calls them."""
    branches = model.branches
    assert branches is not None
    found = {name: np.zeros((len(manifest), model.encoder.config.layers)) for name in signals}

    def run(waves: list[Tensor]) -> list[Tensor]:
        if list(signals) == [ENTROPY]:  # whose branches are asked in stretches of frames, which a CPU does faster
            return [entropies_of(model.encoder, waves, branches, model.position)]
        return every_signal(model.encoder, waves, branches, model.position, signals)

    def keep(batch: list[int], made: list[Tensor]) -> None:
        for values, new in zip(found.values(), made, strict=True):
            values[batch] = new.numpy()

    walk(manifest, batch_seconds, model.device, Progress(label, manifest.seconds, "s of audio"), run, keep)
    return found
