"""Train a task's own exits: a linear head per layer of the frozen model, all at once, on the task's labels.

No threshold takes part, so that one training serves every scale: the entropies of all training utterances are an
output, from which thresholds and exits follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daisy.common import spent, stage
from daisy.downstream import stages
from daisy.downstream.exits import EachItsOwn
from daisy.downstream.settings import TaskExitsSettings
from daisy.downstream.split import Read, load_split, tell_unlearnable
from daisy.downstream.task_exits import TaskExits, entropies, scores_by_layer
from daisy.downstream.trainer import Trainer
from daisy.features.measured import Measured, save_measured
from daisy.tasks.base import set_metric
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

    def loss(self, part: Read) -> Tensor:
        """The mean over layers and utterances."""
        states = self.train.states(part).to(self.device)
        with self.settings.compute.autocast():
            outputs = self.model.every_layer(states, part.frames)
        # Every head's outputs are further utterances of one batch, whose mean is the mean of the heads' losses.
        heads = len(outputs)
        return self.model.task.loss(outputs.flatten(0, 1).float(), part.frames.repeat(heads), part.examples * heads)

    def dev_value(self) -> float:
        """The task's main metric on the dev set, the mean over the heads."""
        metric = self.model.task.metrics[0]
        values = [set_metric(scored, metric) for scored in scores_by_layer(self.model, self.dev)]
        return sum(values) / len(values)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stages.parser(__doc__)
    parser.add_argument("--entropies", type=Path, required=True, help="output: training utterances' entropies (.npz)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(TaskExitsSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    workers = start_workers()
    task, *parts = stages.read(arguments, settings)
    layers, dim = parts[0].features.shape
    train, dev = (load_split(task, part.manifest, part.features, np.full(len(part.manifest), layers)) for part in parts)
    if workers.first:
        tell_unlearnable(task, parts[0].manifest, train)
    torch.manual_seed(settings.seed)
    model = TaskExits(task, layers, dim, settings.states).to(settings.compute.place())
    trainer = ExitsTrainer(model, train, dev, EachItsOwn(train.exits, layers), settings, workers)
    saved = stages.run(trainer, arguments, "exits", [arguments.train_manifest], workers, {})
    if not workers.first:
        return
    with spent.part("train frames", float(train.features.frames.sum())):
        measured = Measured(entropies(model, train).numpy(), train.features.frames)
    stages.write(trainer, arguments)
    save_measured(arguments.entropies, measured)
    saved.finish()
    print(f"{settings.task}: best mean dev {task.metrics[0].name} {trainer.best_value:.2f}")


if __name__ == "__main__":
    stage.run(main)
