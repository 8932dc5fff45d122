"""Measure every branch's entropy on every recording of a task: one pass of the model, and nothing else is kept.

One file, ``entropies.npz``: (utterances, K) ``entropies`` in nats, and the ``frames`` that each is the mean of. A run
that stops by another signal has its values there instead, by which all that follows goes on as by entropies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from daisy.common import stage
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.corpora.walk import walk
from daisy.errors import DaisyError
from daisy.exits.signals import ENTROPY
from daisy.features.measured import Measured, save_measured
from daisy.features.settings import EntropiesSettings
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.every_layer import entropies_of
from daisy.hubert.signals import every_signal


def measure(model: Checkpoint, manifest: Manifest, settings: EntropiesSettings, label: str) -> Measured:
    """The entropies of a manifest's recordings; `label` is what progress calls them."""
    branches, config = model.branches, model.encoder.config
    assert branches is not None
    entropies = np.zeros((len(manifest), config.layers))

    def run(waves: list[Tensor]) -> list[Tensor]:
        if settings.signal != ENTROPY:
            return every_signal(model.encoder, waves, branches, model.position, [settings.signal])
        return [entropies_of(model.encoder, waves, branches, model.position)]

    def keep(batch: list[int], made: list[Tensor]) -> None:
        entropies[batch] = made[0].numpy()

    walk(manifest, settings.batch_seconds, model.device, Progress(label, manifest.seconds, "s of audio"), run, keep)
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
    save_measured(arguments.out, found)


if __name__ == "__main__":
    stage.run(main)
