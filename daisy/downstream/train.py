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
from daisy.common.contents import digest
from daisy.common.files import read_json, write_csv, write_json
from daisy.common.seeds import generator
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.exits import EachItsOwn, TrainingExits, WholeBatch
from daisy.downstream.model import Downstream, save_downstream
from daisy.downstream.settings import DownstreamSettings
from daisy.downstream.split import Split, load_split, tell_unlearnable
from daisy.downstream.trainer import Trainer
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule, all_candidates
from daisy.features.measured import load_measured
from daisy.features.streamed import open_features
from daisy.features.view import view_of
from daisy.hubert.checkpoint import load
from daisy.hubert.encoder import Hubert
from daisy.tasks.base import Task
from daisy.tasks.loading import task_class
from daisy.training.loop import Loop
from daisy.training.resume import Resumable
from daisy.training.workers import Workers, start_workers


def prepare(
    task: Task,
    manifest: Manifest,
    states: Path | None,
    entropies: Path | None,
    encoder: Hubert | None,
    tau: float | None,
    settings: DownstreamSettings,
) -> tuple[Split, TrainingExits]:
    """A split for training, and where its utterances exit.

    Args:
        task: The task.
        manifest: The recordings.
        states: Their states; None if the model makes them.
        entropies: Their entropies; None for a fixed exit.
        encoder: The frozen model, if it makes states.
        tau: The threshold in nats; None for a fixed exit.
        settings: Config of the stage.

    Raises:
        DaisyError: if files do not fit together, or the model lacks the method's layer or the floor.
    """
    features = open_features(states, manifest, encoder, view_of(task.name, task.options, settings.states))
    layers, _ = features.shape
    if not settings.method.by_entropy:
        fixed = np.full(len(manifest), settings.method.exit(layers))
        return load_split(task, manifest, features, fixed), EachItsOwn(fixed, layers)
    if entropies is None or tau is None:
        raise DaisyError("exits by entropy need entropies and a threshold", fix="Pass --train-entropies, --calibration")
    measured = load_measured(entropies, len(manifest))
    rule = ExitRule(all_candidates(settings.floor, layers), tau)
    own = rule.layers(measured.entropies)
    split = load_split(task, manifest, features, own)
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
    parser = stage.parser(__doc__, threads=True)
    for split in ("train", "dev"):
        parser.add_argument(f"--{split}-manifest", type=Path, required=True)
        parser.add_argument(f"--{split}-states", type=Path, help="made by the checkpoint where none are kept")
        parser.add_argument(f"--{split}-entropies", type=Path, help="not needed for a fixed layer")
    parser.add_argument("--checkpoint", type=Path, help="HuBERT (not needed where states are kept)")
    parser.add_argument("--calibration", type=Path, help="threshold (not needed for a fixed layer)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--curves", type=Path, help="folder for TensorBoard")
    parser.add_argument("--out", type=Path, required=True, help="output: the trained model (.safetensors)")
    parser.add_argument("--exits", type=Path, required=True, help="output: training exit histogram and threshold")
    parser.add_argument("--history", type=Path, required=True, help="output: loss and dev metric")
    arguments = parser.parse_args(argv)
    settings = stage.settings(DownstreamSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    workers = start_workers()
    tau = read_json(arguments.calibration)["tau"] if settings.method.by_entropy else None
    manifest = read_manifest(arguments.train_manifest)
    kind = task_class(settings.task)
    task = kind(settings.options, kind.learn_vocabulary(manifest))
    encoder = load(arguments.checkpoint).to(settings.compute.place()).encoder if arguments.checkpoint else None
    if encoder is not None:
        task.check_hop(encoder.config.hop)
    train, exits = prepare(task, manifest, arguments.train_states, arguments.train_entropies, encoder, tau, settings)
    if workers.first:
        tell_unlearnable(task, manifest, train)
    dev, _ = prepare(
        task,
        read_manifest(arguments.dev_manifest),
        arguments.dev_states,
        arguments.dev_entropies,
        encoder,
        tau,
        dataclasses.replace(settings, granularity="utterance"),
    )
    model = untrained(task, train.features.shape, settings, workers)
    trainer = Trainer(model, train, dev, exits, settings, workers)
    inputs = [path for path in (arguments.train_manifest, arguments.train_entropies) if path]
    saved = Resumable(
        arguments.state,
        {"model": model, "optimizer": trainer.optimizer},
        {"settings": dataclasses.asdict(settings), "tau": tau, "inputs": [digest(path) for path in inputs]},
        workers,
    )
    label, size = f"{settings.task} training", f"tasks.{settings.task}.batch_size"
    trainer.run(Loop(label, settings.steps, settings.save_every, size, saved, workers, arguments.curves))
    workers.end()
    if not workers.first:
        return
    counts = exits.counts(itertools.islice(trainer.batches(), settings.steps))
    write_csv(arguments.history, list(trainer.history[0]), trainer.history)
    write_json(arguments.exits, {"task": settings.task, "tau": tau, "counts": counts})
    save_downstream(arguments.out, model.cpu())
    saved.finish()
    print(f"{settings.task}: best dev {task.metrics[0].name} {trainer.best_value:.2f}, exits {json.dumps(counts)}")


if __name__ == "__main__":
    stage.run(main)
