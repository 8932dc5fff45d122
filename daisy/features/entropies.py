"""Measure every branch's entropy on every recording of a task: one pass of the model, and nothing else is kept.

One file, ``entropies.npz``: (utterances, K) ``entropies`` in nats, and the ``frames`` that each is the mean of. A run
that stops by another signal has its values there instead, by which all that follows goes on as by entropies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daisy.common import stage
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.features.measured import Measured, save_measured
from daisy.features.measuring import signals_of, with_branches
from daisy.features.settings import EntropiesSettings
from daisy.hubert.checkpoint import Checkpoint


def measure(model: Checkpoint, manifest: Manifest, settings: EntropiesSettings, label: str) -> Measured:
    """The entropies of a manifest's recordings; `label` is what progress calls them."""
    found = signals_of(model, manifest, settings.batch_seconds, [settings.signal], label)[settings.signal]
    return Measured(found, np.array([model.encoder.config.frames(item.samples) for item in manifest.utterances]))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="output: entropies and frames (.npz)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(EntropiesSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    model = with_branches(arguments.upstream, settings.compute)
    found = measure(model, read_manifest(arguments.manifest), settings, arguments.out.parent.name)
    save_measured(arguments.out, found)


if __name__ == "__main__":
    stage.run(main)
