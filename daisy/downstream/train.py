"""Train one downstream model: a task, and one way of choosing each utterance's exit layer.

The upstream's states are read from the feature stage, or streamed. While training, every layer is a candidate; the
exit layers of all training utterances are counted, and the histogram is an output of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from daisy.common import stage
from daisy.common.files import read_json, write_json
from daisy.common.seeds import generator
from daisy.downstream import stages
from daisy.downstream.exits import EachItsOwn, TrainingExits, WholeBatch
from daisy.downstream.model import Downstream
from daisy.downstream.settings import DownstreamSettings
from daisy.downstream.split import Split, load_split, tell_unlearnable
from daisy.downstream.trainer import Trainer
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule, all_candidates
from daisy.features.measured import load_measured
from daisy.tasks.base import Task
from daisy.training.workers import Workers, start_workers


def prepare(
    task: Task, part: stages.Part, entropies: Path | None, tau: float | None, settings: DownstreamSettings
) -> tuple[Split, TrainingExits]:
    """A split for training, and where its utterances exit.

    Args:
        task: The task.
        part: The recordings and their features.
        entropies: Their entropies; None for a fixed exit.
        tau: The threshold in nats; None for a fixed exit.
        settings: Config of the stage.

    Raises:
        DaisyError: if files do not fit together, or the model lacks the method's layer or the floor.
    """
    layers, _ = part.features.shape
    if not settings.method.by_entropy:
        fixed = np.full(len(part.manifest), settings.method.exit(layers))
        return load_split(task, part.manifest, part.features, fixed), EachItsOwn(fixed, layers)
    if entropies is None or tau is None:
        raise DaisyError("exits by entropy need entropies and a threshold", fix="Pass --train-entropies, --calibration")
    measured = load_measured(entropies, len(part.manifest))
    rule = ExitRule(all_candidates(settings.floor, layers), tau)
    own = rule.layers(measured.entropies)
    split = load_split(task, part.manifest, part.features, own)
    together = settings.granularity == "batch"
    return split, WholeBatch(measured, rule, settings.accumulate) if together else EachItsOwn(own, layers)


def untrained(task: Task, shape: tuple[int, int], settings: DownstreamSettings, workers: Workers) -> Downstream:
    """The model before its first step, drawn by the seed; `shape` is (K, D) of the features."""
    torch.manual_seed(settings.seed)
    model = Downstream(task, *shape, settings.fusion, settings.states).to(settings.compute.place())
    if not workers.first:
        # Weights start alike in all processes; dropout must not.
        torch.manual_seed(generator(settings.seed, "worker", workers.rank).integers(2**31).item())
    return model


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stages.parser(__doc__)
    for split in stages.SPLITS:
        parser.add_argument(f"--{split}-entropies", type=Path, help="not needed for a fixed layer")
    parser.add_argument("--calibration", type=Path, help="threshold (not needed for a fixed layer)")
    parser.add_argument("--exits", type=Path, required=True, help="output: training exit histogram and threshold")
    arguments = parser.parse_args(argv)
    settings = stage.settings(DownstreamSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    workers = start_workers()
    tau = read_json(arguments.calibration)["tau"] if settings.method.by_entropy else None
    task, *parts = stages.read(arguments, settings)
    train, exits = prepare(task, parts[0], arguments.train_entropies, tau, settings)
    if workers.first:
        tell_unlearnable(task, parts[0].manifest, train)
    each = dataclasses.replace(settings, granularity="utterance")
    dev, _ = prepare(task, parts[1], arguments.dev_entropies, tau, each)
    model = untrained(task, train.features.shape, settings, workers)
    trainer = Trainer(model, train, dev, exits, settings, workers)
    inputs = [path for path in (arguments.train_manifest, arguments.train_entropies) if path]
    saved = stages.run(trainer, arguments, "training", inputs, workers, {"tau": tau})
    if not workers.first:
        return
    counts = exits.counts(itertools.islice(trainer.batches(), settings.steps))
    stages.write(trainer, arguments)
    write_json(arguments.exits, {"task": settings.task, "method": settings.method.name, "tau": tau, "counts": counts})
    saved.finish()
    print(f"{settings.task}: best dev {task.metrics[0].name} {trainer.best_value:.2f}, exits {json.dumps(counts)}")


if __name__ == "__main__":
    stage.run(main)
