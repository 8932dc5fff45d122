"""Measure every branch's entropy on every recording of a task: one pass of the model, and nothing else is kept.

One file, ``entropies.npz``: (utterances, K) ``entropies`` in nats, and the ``frames`` that each is the mean of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daisy.common import stage
from daisy.common.batches import batches
from daisy.common.compute import BATCH, memory
from daisy.common.files import atomic
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.errors import DaisyError
from daisy.features.measured import Measured
from daisy.features.settings import EntropiesSettings
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.every_layer import entropies_of


def measure(model: Checkpoint, manifest: Manifest, settings: EntropiesSettings, label: str) -> Measured:
    """The entropies of a manifest's recordings; `label` is what progress calls them."""
    assert model.branches is not None
    config = model.encoder.config
    entropies = np.zeros((len(manifest), config.layers))
    progress = Progress(label, manifest.seconds, "s of audio")
    for batch in batches([item.samples for item in manifest.utterances], settings.batch_seconds):
        with memory(manifest.utterances[batch[0]].id, BATCH):
            waves = [manifest.wave(index).to(model.device) for index in batch]
            entropies[batch] = entropies_of(model.encoder, waves, model.branches, model.position)
        progress.add(sum(manifest.utterances[index].samples for index in batch) / 16_000)
    return Measured(entropies, np.array([config.frames(item.samples) for item in manifest.utterances]))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="output: entropies and frames (.npz)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(EntropiesSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    model = load(arguments.upstream).to(settings.compute.place())
    if model.branches is None:
        raise DaisyError("the model has no exit branches", file=arguments.upstream, fix="Train branches for it first")
    found = measure(model, read_manifest(arguments.manifest), settings, arguments.out.parent.name)
    with atomic(arguments.out) as temporary, open(temporary, "wb") as file:
        np.savez(file, entropies=found.entropies, frames=found.frames)


if __name__ == "__main__":
    stage.run(main)
