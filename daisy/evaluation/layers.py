"""Judge a trained model at every layer of every test recording, so that any rule of exits can be judged afterwards.

One file, ``layers.npz`` (see `daisy.evaluation.spending`). Like the oracle's cell, it takes one prediction per
recording and layer from kept states; whatever the signal and the threshold, the rest is arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from daisy.common import spent, stage
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.cells import Cell
from daisy.downstream.model import Downstream, load_downstream
from daisy.downstream.scoring import Judged, judge
from daisy.downstream.split import Split, load_split
from daisy.downstream.system import macs
from daisy.evaluation.settings import LayersSettings
from daisy.evaluation.spending import EveryExit, save_exits
from daisy.exits.rule import ExitRule
from daisy.features.streamed import open_features
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert


def every_exit(
    model: Downstream, split: Split, manifest: Manifest, upstream: EarlyExitHubert, processes: int = 1
) -> EveryExit:
    """What a model makes of every recording at every layer, by the task's main metric, and what that costs."""
    count, layers = len(manifest), range(1, model.layers + 1)
    judged: Judged = {}
    judge(model, split, [(index, k) for index in range(count) for k in layers], judged, processes)
    name = model.task.metrics[0].name
    scored = np.array([[judged[index, k][name] for k in layers] for index in range(count)])
    samples = [item.samples for item in manifest.utterances]
    fixed = {k: Cell(model, ExitRule((k,))) for k in layers}
    spent_on = np.array([[macs(upstream, fixed[k], number, k) for k in layers] for number in samples], float)
    frames = map(upstream.encoder.config.frames, samples)
    branch = np.array([upstream.branch_macs(number) for number in frames], float)
    return EveryExit(scored[..., 0], scored[..., 1], spent_on, branch)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True, help="the test set")
    parser.add_argument("--states", type=Path, help="its states; made by the model where none are kept")
    parser.add_argument("--downstream", type=Path, required=True, help="the downstream model")
    parser.add_argument("--out", type=Path, required=True, help="output: scores and costs (.npz)")
    parser.add_argument("--processes", type=int, default=1, help="how many score the test set (default: 1)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(LayersSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    device = settings.compute.place()
    checkpoint, model = load(arguments.upstream).to(device), load_downstream(arguments.downstream).to(device)
    manifest = read_manifest(arguments.manifest)
    model.task.check_hop(checkpoint.encoder.config.hop)
    features = open_features(arguments.states, manifest, checkpoint.encoder, model.view)
    split = load_split(model.task, manifest, features, np.full(len(manifest), model.layers))
    with spent.part("test frames", float(features.frames.sum())):
        found = every_exit(model, split, manifest, EarlyExitHubert(checkpoint), arguments.processes)
    save_exits(arguments.out, found)


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    stage.run(main)
