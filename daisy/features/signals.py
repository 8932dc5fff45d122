"""Measure every signal of every branch on every recording of a task: one pass of the model for all signals.

One file, ``signals.npz``: (utterances, K) per signal, under its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.corpora.utterances import read_manifest
from daisy.features.measured import save_signals
from daisy.features.measuring import signals_of, with_branches
from daisy.features.settings import SignalsSettings


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="output: the signals (.npz)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(SignalsSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    model, manifest = with_branches(arguments.upstream, settings.compute), read_manifest(arguments.manifest)
    label = arguments.out.parent.name
    save_signals(arguments.out, signals_of(model, manifest, settings.batch_seconds, settings.signals, label))


if __name__ == "__main__":
    stage.run(main)
