"""Train a task's own exits: a linear head per layer of the frozen model, all at once, on the task's labels.

No threshold takes part, so that one training serves every scale: the entropies of all training utterances are an
output, from which thresholds and exits follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daisy.common import stage
from daisy.common.contents import digest
from daisy.common.files import atomic, write_csv
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.exits import EachItsOwn
from daisy.downstream.model import save_downstream
from daisy.downstream.settings import TaskExitsSettings
from daisy.downstream.split import Split, load_split, tell_unlearnable
from daisy.downstream.task_exits import TaskExits, entropies, scores_by_layer
from daisy.downstream.trainer import Trainer
from daisy.features.streamed import open_features
from daisy.features.view import view_of
from daisy.hubert.checkpoint import load
from daisy.hubert.config import States
from daisy.hubert.encoder import Hubert
from daisy.tasks.base import Task, set_metric
from daisy.tasks.loading import task_class
from daisy.training.loop import Loop
from daisy.training.resume import Resumable
from daisy.training.workers import start_workers


class ExitsTrainer(Trainer):
    """The training of all heads: the mean of their losses falls, and the dev set's mean over layers chooses.

    Args:
        model: What is trained.
        train: The training split.
        dev: The split by which the model is chosen.
        exits: All layers.
        settings: Config of the stage.
        workers: The processes that train together.
    """

    model: TaskExits

    def loss(self, indices: list[int], exits: Mapping[int, int]) -> tuple[Tensor, Tensor]:
        """The mean over layers and utterances; nothing else is reported."""
        states, _, frames, examples = self.train.batch(indices, [exits[index] for index in indices])
        with self.settings.compute.autocast():
            outputs = self.model.every_layer(states.to(self.device), frames)
        # Every head's outputs are further utterances of one batch, whose mean is the mean of the heads' losses.
        heads = len(outputs)
        loss = self.model.task.loss(outputs.flatten(0, 1).float(), frames.repeat(heads), examples * heads)
        return loss, torch.zeros(0)

    def dev_value(self) -> float:
        """The task's main metric on the dev set, the mean over the heads."""
        metric = self.model.task.metrics[0]
        values = [set_metric(scored, metric) for scored in scores_by_layer(self.model, self.dev)]
        return sum(values) / len(values)


def read(task: Task, manifest: Manifest, states: Path | None, encoder: Hubert | None, kind: States) -> Split:
    """A split with the states of all layers."""
    features = open_features(states, manifest, encoder, view_of(task.name, task.options, kind))
    return load_split(task, manifest, features, np.full(len(manifest), features.shape[0]))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    for split in ("train", "dev"):
        parser.add_argument(f"--{split}-manifest", type=Path, required=True)
        parser.add_argument(f"--{split}-states", type=Path, help="made by the checkpoint where none are kept")
    parser.add_argument("--checkpoint", type=Path, help="HuBERT (not needed where states are kept)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--curves", type=Path, help="folder for TensorBoard")
    parser.add_argument("--out", type=Path, required=True, help="output: the trained heads (.safetensors)")
    parser.add_argument("--entropies", type=Path, required=True, help="output: training utterances' entropies (.npy)")
    parser.add_argument("--history", type=Path, required=True, help="output: loss and dev metric")
    arguments = parser.parse_args(argv)
    settings = stage.settings(TaskExitsSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    workers = start_workers()
    manifest = read_manifest(arguments.train_manifest)
    kind = task_class(settings.task)
    task = kind(settings.options, kind.learn_vocabulary(manifest))
    encoder = load(arguments.checkpoint).to(settings.compute.place()).encoder if arguments.checkpoint else None
    train = read(task, manifest, arguments.train_states, encoder, settings.states)
    if workers.first:
        tell_unlearnable(task, manifest, train)
    dev = read(task, read_manifest(arguments.dev_manifest), arguments.dev_states, encoder, settings.states)
    torch.manual_seed(settings.seed)
    model = TaskExits(task, *train.features.shape, settings.states).to(settings.compute.place())
    trainer = ExitsTrainer(model, train, dev, EachItsOwn(train.exits, model.layers), settings, workers)
    saved = Resumable(
        arguments.state,
        {"model": model, "optimizer": trainer.optimizer},
        {"settings": dataclasses.asdict(settings), "inputs": [digest(arguments.train_manifest)]},
        workers,
    )
    label, size = f"{settings.task} exits", f"tasks.{settings.task}.batch_size"
    trainer.run(Loop(label, settings.steps, settings.save_every, size, saved, workers, arguments.curves))
    workers.end()
    if not workers.first:
        return
    measured = entropies(model, train)
    write_csv(arguments.history, list(trainer.history[0]), trainer.history)
    with atomic(arguments.entropies) as temporary, open(temporary, "wb") as file:
        np.save(file, measured.numpy())
    save_downstream(arguments.out, model.cpu())
    saved.finish()
    print(f"{settings.task}: best mean dev {task.metrics[0].name} {trainer.best_value:.2f}")


if __name__ == "__main__":
    stage.run(main)
