"""Measure every signal of every branch on every recording of a task: one pass of the model for all signals.

One file, ``signals.npz``: (utterances, K) per signal, under its name.
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
from daisy.features.measured import save_signals
from daisy.features.settings import SignalsSettings
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.signals import every_signal


def measure(model: Checkpoint, manifest: Manifest, settings: SignalsSettings, label: str) -> dict[str, np.ndarray]:
    """The signals of a manifest's recordings, (N, K) each; `label` is what progress calls them."""
    branches = model.branches
    assert branches is not None
    found = {name: np.zeros((len(manifest), model.encoder.config.layers)) for name in settings.signals}

    def run(waves: list[Tensor]) -> list[Tensor]:
        return every_signal(model.encoder, waves, branches, model.position, settings.signals)

    def keep(batch: list[int], made: list[Tensor]) -> None:
        for values, new in zip(found.values(), made, strict=True):
            values[batch] = new.numpy()

    walk(manifest, settings.batch_seconds, model.device, Progress(label, manifest.seconds, "s of audio"), run, keep)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="output: the signals (.npz)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(SignalsSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    model = load(arguments.upstream).to(settings.compute.place())
    if model.branches is None:
        raise DaisyError("the model has no exit branches", file=arguments.upstream, fix="Train branches for it first")
    save_signals(arguments.out, measure(model, read_manifest(arguments.manifest), settings, arguments.out.parent.name))


if __name__ == "__main__":
    stage.run(main)
