"""Run a few test recordings through a task's systems, for listeners: what went in, what came out, what should have.

The recordings are drawn by seed among those of at most a few seconds, never by how well they came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from daisy.common import audio, stage
from daisy.common.files import atomic, read_json, write_json
from daisy.common.seeds import generator
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.cells import Cell, build_cells
from daisy.downstream.model import load_downstream
from daisy.downstream.system import predict
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.report.settings import ExamplesSettings, System
from daisy.tasks.audio_metrics import best_order, si_sdr

PEAK = 0.99


def drawn(manifest: Manifest, settings: ExamplesSettings) -> list[int]:
    """Indices of the recordings.

    Raises:
        DaisyError: if none is short enough.
    """
    longest = settings.seconds * audio.SAMPLE_RATE
    short = [index for index, item in enumerate(manifest.utterances) if item.samples <= longest]
    if not short:
        raise DaisyError(
            f"no test recording lasts at most {settings.seconds:g} s",
            file=manifest.root,
            fix="Raise report.examples.seconds",
        )
    order = generator(settings.seed, "examples").permutation(len(short))[: settings.count]
    return sorted(short[index] for index in order)


def load_cell(system: System, model: Path, exits: Path) -> Cell:
    """A trained system from its files."""
    strategies = {system.strategy: system.q} if system.strategy else {}
    (cell,) = build_cells(load_downstream(model), system.method, strategies, read_json(exits)).values()
    return cell


def write_signal(path: Path, wave: Tensor) -> str:
    """Write a signal as FLAC; one that would clip is scaled down. Returns its path as the table gives it."""
    peak = float(wave.abs().max())
    with atomic(path) as temporary:
        audio.write(temporary, (wave * min(1.0, PEAK / max(peak, 1e-9))).numpy())
    return f"{path.parent.name}/{path.name}"


def ordered(estimates: Tensor, references: Tensor) -> Tensor:
    """Estimates (sources, samples) in the order of the references that they fit best."""
    return estimates[list(best_order(si_sdr(estimates[:, None], references[None])))]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True, help="the test set")
    parser.add_argument("--downstream", type=Path, nargs="+", required=True, help="downstream models")
    parser.add_argument("--exits", type=Path, nargs="+", required=True, help="their training exit histograms")
    parser.add_argument("--audio", type=Path, required=True, help="output: folder of FLAC files")
    parser.add_argument("--out", type=Path, required=True, help="output: table of the examples")
    arguments = parser.parse_args(argv)
    settings = stage.settings(ExamplesSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    upstream = EarlyExitHubert(load(arguments.upstream), settings.signal)
    manifest = read_manifest(arguments.manifest)
    cells = [load_cell(*item) for item in zip(settings.systems, arguments.downstream, arguments.exits, strict=True)]
    rows = []
    for number, index in enumerate(drawn(manifest, settings), start=1):
        item, references = manifest.utterances[index], manifest.references(index)
        signals = {"Input": manifest.wave(index)[None], "Reference": references}
        layers = {}
        for system, cell in zip(settings.systems, cells, strict=True):
            estimates, layers[system.name] = predict(upstream, cell, manifest.wave(index))
            signals[system.name] = ordered(estimates, references)
        files = {
            name: [
                write_signal(arguments.audio / f"{number}-{place}-{source}.flac", wave)
                for source, wave in enumerate(waves, start=1)
            ]
            for place, (name, waves) in enumerate(signals.items())
        }
        rows.append({"id": item.id, "speaker": item.speaker, "files": files, "exit_layers": layers})
    write_json(arguments.out, {"task": cells[0].model.task.name, "examples": rows})
    print(f"{cells[0].model.task.name}: {len(rows)} examples")


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    stage.run(main)
