"""Train one downstream model: a task, and one way of choosing each utterance's exit layer.

The upstream's states are read from the feature stage. While training, every layer is a candidate; the
exit layers of all training utterances are counted, and the histogram is an output of its own.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from daisy import stage
from daisy.batches import batches
from daisy.cached import KEPT_SECONDS, Cached
from daisy.contents import digest
from daisy.errors import DaisyError
from daisy.exits import all_candidates, exit_layers, histogram
from daisy.features import Features, load_features
from daisy.files import read_json, write_csv, write_json
from daisy.fusion import Kind
from daisy.manifest import Manifest, read_manifest
from daisy.model_file import Downstream, save_downstream
from daisy.progress import Progress
from daisy.resume import Resumable, check_finite
from daisy.seeds import generator
from daisy.tasks.base import Score, Task, set_metric
from daisy.tasks.loading import task_class
from daisy.tasks.registry import TASKS


@dataclasses.dataclass(frozen=True)
class Settings:
    """Config of this stage.

    Attributes:
        task: The task's name.
        options: The task's own part of the config.
        fixed_layer: 0 for exits by entropy; otherwise every utterance stops here; -1 stands for the last layer.
        fusion: How the states are summed.
        steps: Updates.
        batch_size: Utterances in a batch.
        optimizer: ``adam`` or ``adamw`` (without weight decay).
        learning_rate: The optimiser's, at the first step.
        schedule: ``constant`` (MiniSUPERB's), or ``linear``: down to zero at the last step.
        clip: Largest norm of the gradient.
        dev_every: Steps between two looks at the dev set, by which the model is chosen.
        seed: Seed of weights, order and dropout.
        save_every: Steps between two saved states.
        floor: No utterance stops below this layer. The layers of the training exits are the candidates at
            inference, so the floor reaches there too.
    """

    task: str
    options: dict[str, Any]
    fixed_layer: int
    fusion: Kind
    steps: int
    batch_size: int
    optimizer: str
    learning_rate: float
    schedule: Literal["constant", "linear"]
    clip: float
    dev_every: int
    seed: int
    save_every: int
    floor: int = 1


@dataclasses.dataclass(frozen=True)
class Split:
    """One split as training sees it: features, exit layers, examples, and recordings if the task needs them."""

    features: Features
    exits: np.ndarray
    examples: Sequence[Any]
    waves: Sequence[Tensor] = ()

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        """States (B, T, n, D), exit layers (B,), frames (B,), and the examples."""
        deepest = int(self.exits[list(indices)].max())
        states = [self.features.utterance(index, deepest) for index in indices]
        frames = torch.tensor([len(item) for item in states])
        padded = nn.utils.rnn.pad_sequence(states, batch_first=True)
        return padded, torch.from_numpy(self.exits[list(indices)]), frames, [self.examples[i] for i in indices]


def last_if_negative(fixed_layer: int, layers: int) -> int:
    """The layer that `fixed_layer` of the settings stands for in a model of `layers` layers.

    Raises:
        DaisyError: if the model has no such layer.
    """
    if fixed_layer > layers:
        raise DaisyError(f"the method layer{fixed_layer} on a model of {layers} layers", fix="Choose a smaller layer")
    return layers if fixed_layer < 0 else fixed_layer


def load_split(
    task: Task, manifest: Manifest, features: Features, fixed_layer: int, tau: float | None, floor: int = 1
) -> Split:
    """Join a manifest with its features, and find every utterance's exit layer.

    Raises:
        DaisyError: if the features are of another manifest, or the floor is above the last layer.
    """
    if len(features) != len(manifest):
        raise DaisyError(
            f"features of {len(features)} utterances for {len(manifest)} recordings",
            file=manifest.root,
            fix="Run the feature stage again",
        )
    layers = features.entropies.shape[1]
    if fixed_layer:
        exits = np.full(len(features), last_if_negative(fixed_layer, layers))
    else:
        assert tau is not None
        exits = exit_layers(features.entropies, all_candidates(floor, layers), tau)
    keep = manifest.seconds <= KEPT_SECONDS
    waves = Cached(manifest.wave, len(manifest), keep=keep) if TASKS[task.name].waves else ()
    return Split(features, exits, task.examples(manifest), waves)


def order(frames: np.ndarray, batch_size: int, seed: int) -> Iterator[list[int]]:
    """Batches without end: in every epoch each utterance once, beside others of similar length."""
    pool = 16 * batch_size
    epoch = 0
    while True:
        shuffled = generator(seed, "order", epoch).permutation(len(frames))
        groups: list[list[int]] = []
        for start in range(0, len(shuffled), pool):
            part = sorted(shuffled[start : start + pool].tolist(), key=lambda index: (frames[index], index))
            groups += [part[place : place + batch_size] for place in range(0, len(part), batch_size)]
        for place in generator(seed, "batches", epoch).permutation(len(groups)):
            yield groups[place]
        epoch += 1


Judged = dict[tuple[int, int], tuple[Any, Score]]
"""Prediction and score by index of the utterance and exit layer."""


@torch.inference_mode()
def evaluate(
    model: Downstream, split: Split, batch_seconds: float = 120.0, judged: Judged | None = None
) -> tuple[list[Any], list[Score]]:
    """Predictions and scores of a split, in its order.

    Args:
        model: A downstream model.
        split: Features, exits and examples.
        batch_seconds: Audio in one forward pass of the head.
        judged: What this model already gave for other exits of the same split; it is read and added to.
    """
    model.eval()
    judged = {} if judged is None else judged
    keys = list(enumerate(split.exits.tolist()))
    missing = [index for index, exit in keys if (index, exit) not in judged]
    for places in batches([int(split.features.frames[index]) * 320 for index in missing], batch_seconds):
        indices = [missing[place] for place in places]
        states, exits, frames, examples = split.batch(indices)
        output = model(states, exits, frames)
        waves = [split.waves[index] for index in indices] if split.waves else []
        predictions = model.task.predict(output, frames, waves)
        for index, exit, prediction, example in zip(indices, exits.tolist(), predictions, examples, strict=True):
            judged[index, exit] = prediction, model.task.score(prediction, example)
    return [judged[key][0] for key in keys], [judged[key][1] for key in keys]


class Trainer:
    """One downstream training.

    Args:
        model: What is trained.
        train: The training split.
        dev: The split by which the model is chosen.
        settings: Config of the stage.
    """

    def __init__(self, model: Downstream, train: Split, dev: Split, settings: Settings) -> None:
        self.model, self.train, self.dev, self.settings = model, train, dev, settings
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        decay = {"weight_decay": 0.0} if settings.optimizer == "adamw" else {}
        self.optimizer = kinds[settings.optimizer](model.parameters(), lr=settings.learning_rate, **decay)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.best_value: float | None = None
        self.losses: list[float] = []

    def step(self, indices: Sequence[int], step: int) -> float:
        """One update."""
        self.model.train()
        if self.settings.schedule == "linear":
            # A function of the step alone: there is no state to resume.
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * (1 - (step - 1) / self.settings.steps)
        states, exits, frames, examples = self.train.batch(indices)
        output = self.model(states, exits, frames)
        loss = self.model.task.loss(output, frames, examples)
        check_finite(loss.item(), step, f"tasks.{self.settings.task}.learning_rate")
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        check_finite(float(norm), step, f"tasks.{self.settings.task}.learning_rate")
        self.optimizer.step()
        return loss.item()

    def look_at_dev(self, step: int) -> None:
        """Score the dev set, and keep the model if it is the best so far."""
        metric = self.model.task.metrics[0]
        value = set_metric(evaluate(self.model, self.dev)[1], metric)
        mean = sum(self.losses) / max(1, len(self.losses))
        self.history.append({"step": step, "loss": mean, f"dev_{metric.name}": value})
        self.losses = []
        sign = 1 if metric.higher_is_better else -1
        if self.best_value is None or sign * value > sign * self.best_value:
            self.best_value, self.best = value, copy.deepcopy(self.model.state_dict())

    def run(self, saved: Resumable) -> None:
        """Train to the last step, from where an earlier run stopped; the best model is loaded at the end."""
        settings = self.settings
        done, extra = saved.restore()
        for name, value in extra.items():
            setattr(self, name, value)
        progress = Progress(f"{settings.task} training", settings.steps, "steps")
        progress.resume_at(done)
        names = ("history", "best", "best_value", "losses")
        for step, indices in enumerate(order(self.train.features.frames, settings.batch_size, settings.seed), start=1):
            if step > settings.steps:
                break
            if step <= done:
                continue
            self.losses.append(self.step(indices, step))
            if step % settings.dev_every == 0 or step == settings.steps:
                self.look_at_dev(step)
            if step % settings.save_every == 0:
                saved.save(step, {name: getattr(self, name) for name in names})
            metric = self.model.task.metrics[0].name
            best = "" if self.best_value is None else f", best dev {metric} {self.best_value:.1f}"
            progress.add(1, f"loss {self.losses[-1] if self.losses else self.history[-1]['loss']:.3f}{best}")
        self.model.load_state_dict(self.best)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    for split in ("train", "dev"):
        parser.add_argument(f"--{split}-manifest", type=Path, required=True)
        parser.add_argument(f"--{split}-features", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, help="threshold (not needed for a fixed layer)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--out", type=Path, required=True, help="output: the trained model (.safetensors)")
    parser.add_argument("--exits", type=Path, required=True, help="output: training exit histogram and threshold")
    parser.add_argument("--history", type=Path, required=True, help="output: loss and dev metric")
    arguments = parser.parse_args(argv)
    settings = stage.settings(Settings, arguments.settings)
    stage.use_threads(arguments.threads)
    tau = None if settings.fixed_layer else read_json(arguments.calibration)["tau"]
    manifest = read_manifest(arguments.train_manifest)
    kind = task_class(settings.task)
    task = kind(settings.options, kind.learn_vocabulary(manifest))
    train, dev = (
        load_split(task, read_manifest(name), load_features(features), settings.fixed_layer, tau, settings.floor)
        for name, features in (
            (arguments.train_manifest, arguments.train_features),
            (arguments.dev_manifest, arguments.dev_features),
        )
    )
    torch.manual_seed(settings.seed)
    _, states, dim = train.features.states.shape
    model = Downstream(task, states - 1, dim, settings.fusion)
    trainer = Trainer(model, train, dev, settings)
    inputs = (arguments.train_manifest, arguments.train_features.with_suffix(".npz"))
    saved = Resumable(
        arguments.state,
        {"model": model, "optimizer": trainer.optimizer},
        {"settings": dataclasses.asdict(settings), "tau": tau, "inputs": [digest(path) for path in inputs]},
    )
    trainer.run(saved)
    counts = histogram(train.exits, states - 1)
    write_csv(arguments.history, list(trainer.history[0]), trainer.history)
    write_json(arguments.exits, {"task": settings.task, "tau": tau, "counts": counts})
    save_downstream(arguments.out, model)
    saved.finish()
    print(f"{settings.task}: best dev {task.metrics[0].name} {trainer.best_value:.2f}, exits {json.dumps(counts)}")


if __name__ == "__main__":
    stage.run(main)
