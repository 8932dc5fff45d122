"""Train one downstream model: a task, and one way of choosing each utterance's exit layer.

The upstream's states are read from the feature stage, or streamed. While training, every layer is a candidate; the
exit layers of all training utterances are counted, and the histogram is an output of its own.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daisy.common import stage
from daisy.common.contents import digest
from daisy.common.files import read_json, write_csv, write_json
from daisy.common.seeds import generator
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.exits import EachItsOwn, TrainingExits, WholeBatch
from daisy.downstream.model import Downstream, save_downstream
from daisy.downstream.scoring import scores
from daisy.downstream.settings import Batches, DownstreamSettings
from daisy.downstream.split import Split, load_split
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule, all_candidates
from daisy.features.measured import load_measured
from daisy.features.streamed import open_features
from daisy.features.view import view_of
from daisy.hubert.checkpoint import load
from daisy.hubert.encoder import Hubert
from daisy.tasks.base import Task, set_metric
from daisy.tasks.loading import task_class
from daisy.training.loop import Loop, check_finite
from daisy.training.resume import Resumable
from daisy.training.workers import Workers, start_workers

POOL = 16
"""Batches that are divided by length together, if `order` looks for utterances of similar length."""


def order(frames: np.ndarray, batch_size: int, seed: int, batches: Batches = "similar") -> Iterator[list[int]]:
    """Batches without end: in every epoch each utterance once, and the batches in an order of the epoch's own.

    Args:
        frames: (utterances,) frames of each.
        batch_size: Utterances in a batch; the last one that is cut may have fewer.
        seed: Of the order.
        batches: What comes into a batch together. ``similar``: utterances of similar length, of a part of the data
            that every epoch draws. ``fixed``: neighbours in the order of length, the longest first, the same in all
            epochs (MiniSUPERB's ASR). ``shuffled``: whatever comes (MiniSUPERB's other tasks).
    """

    def cut(indices: list[int], size: int) -> list[list[int]]:
        return [indices[place : place + size] for place in range(0, len(indices), size)]

    # Where lengths are equal, as those of states that are averaged over time, a draw decides.
    longest_first = np.lexsort((generator(seed, "equal").permutation(len(frames)), -frames)).tolist()
    for epoch in itertools.count():
        shuffled = generator(seed, "order", epoch).permutation(len(frames)).tolist()
        if batches == "similar":
            parts = cut(shuffled, POOL * batch_size)
            sorted_parts = [sorted(part, key=lambda index: (frames[index], index)) for part in parts]
            groups = [group for part in sorted_parts for group in cut(part, batch_size)]
        else:
            groups = cut(longest_first if batches == "fixed" else shuffled, batch_size)
        for place in generator(seed, "batches", epoch).permutation(len(groups)):
            yield groups[place]


class Trainer:
    """One downstream training.

    Args:
        model: What is trained.
        train: The training split.
        dev: The split by which the model is chosen.
        exits: Where the training utterances exit.
        settings: Config of the stage.
        workers: The processes that train together.
    """

    def __init__(
        self,
        model: Downstream,
        train: Split,
        dev: Split,
        exits: TrainingExits,
        settings: DownstreamSettings,
        workers: Workers,
    ) -> None:
        self.model, self.train, self.dev, self.settings, self.workers = model, train, dev, settings, workers
        self.exits = exits
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        decay = {"weight_decay": 0.0} if settings.optimizer == "adamw" else {}
        self.optimizer = kinds[settings.optimizer](model.parameters(), settings.learning_rate, fused=True, **decay)
        self.device = model.fusion.scalars.device
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.best_value: float | None = None
        self.losses: list[float] = []

    def batches(self) -> Iterator[list[int]]:
        """The training's batches, without end."""
        chosen = self.settings
        return order(self.train.features.frames, chosen.batch_size, chosen.seed, chosen.batches)

    def step(self, indices: Sequence[int], step: int) -> float:
        """One update; the mean loss of the whole batch."""
        self.model.train()
        if self.settings.schedule == "linear":
            # A function of the step alone: there is no state to resume.
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * (1 - (step - 1) / self.settings.steps)
        self.optimizer.zero_grad()
        exits = self.exits.of_step(indices)
        loss, _ = self.workers.backward(
            indices, self.settings.accumulate, len, lambda part: self.loss(part, exits), self.model.parameters()
        )
        check_finite(loss, step, f"tasks.{self.settings.task}.learning_rate")
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        check_finite(float(norm), step, f"tasks.{self.settings.task}.learning_rate")
        self.optimizer.step()
        return loss

    def loss(self, indices: list[int], exits: Mapping[int, int]) -> tuple[Tensor, Tensor]:
        """The mean loss of some utterances; nothing else is reported."""
        states, layers, frames, examples = self.train.batch(indices, [exits[index] for index in indices])
        with self.settings.compute.autocast():
            output = self.model(states.to(self.device), layers.to(self.device), frames)
        return self.model.task.loss(output.float(), frames, examples), torch.zeros(0)

    def look_at_dev(self, step: int) -> None:
        """Score the dev set, and keep the model if it is the best so far."""
        metric = self.model.task.metrics[0]
        value = set_metric(scores(self.model, self.dev), metric)
        mean = sum(self.losses) / max(1, len(self.losses))
        self.history.append({"step": step, "loss": mean, f"dev_{metric.name}": value})
        self.losses = []
        sign = 1 if metric.higher_is_better else -1
        if self.best_value is None or sign * value > sign * self.best_value:
            self.best_value, self.best = value, copy.deepcopy(self.model.state_dict())

    def run(self, loop: Loop) -> None:
        """Train to the last step, from where an earlier run stopped; the best model is loaded at the end."""
        settings, metric = self.settings, self.model.task.metrics[0].name
        done, extra = loop.saved.restore()
        for name, value in extra.items():
            setattr(self, name, value)

        def update(step: int, indices: list[int]) -> tuple[dict[str, float], str]:
            loss = self.step(indices, step)
            self.losses.append(loss)
            values = {"loss": loss}
            if step % settings.dev_every == 0 or step == settings.steps:
                self.look_at_dev(step)
                values[f"dev_{metric}"] = self.history[-1][f"dev_{metric}"]
            best = "" if self.best_value is None else f", best dev {metric} {self.best_value:.1f}"
            return values, f"loss {loss:.3f}{best}"

        names = ("history", "best", "best_value", "losses")
        loop.run(self.batches(), update, lambda: {name: getattr(self, name) for name in names}, done)
        self.model.load_state_dict(self.best)


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
    train, exits = prepare(task, manifest, arguments.train_states, arguments.train_entropies, encoder, tau, settings)
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
    batches = itertools.islice(trainer.batches(), settings.steps)
    counts = exits.counts(list(batches))
    write_csv(arguments.history, list(trainer.history[0]), trainer.history)
    write_json(arguments.exits, {"task": settings.task, "tau": tau, "counts": counts})
    save_downstream(arguments.out, model.cpu())
    saved.finish()
    print(f"{settings.task}: best dev {task.metrics[0].name} {trainer.best_value:.2f}, exits {json.dumps(counts)}")


if __name__ == "__main__":
    stage.run(main)
