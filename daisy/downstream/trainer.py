"""The training of a task's model: batches, steps, looks at the dev set, and the best model kept."""

from __future__ import annotations

import collections
import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daisy.common import spent
from daisy.common.seeds import generator
from daisy.common.transfer import handed
from daisy.downstream.exits import TrainingExits
from daisy.downstream.model import TaskModel
from daisy.downstream.scoring import scores
from daisy.downstream.settings import Batches, TrainingSettings
from daisy.downstream.split import Read, Split
from daisy.tasks.base import set_metric
from daisy.training.loop import Loop, Values, check_finite
from daisy.training.workers import Workers

POOL = 16
"""Batches that are divided by length together, if `order` looks for utterances of similar length."""


def order(
    frames: np.ndarray, batch_size: int, seed: int, batches: Batches = "similar", classes: Sequence[Any] = ()
) -> Iterator[list[int]]:
    """Batches without end: in every epoch each utterance once, and the batches in an order of the epoch's own.

    Args:
        frames: (utterances,) frames of each.
        batch_size: Utterances in a batch; the last one that is cut may have fewer.
        seed: Of the order.
        batches: What comes into a batch together. ``similar``: utterances of similar length, of a part of the data
            that every epoch draws. ``fixed``: neighbours in the order of length, the longest first, the same in all
            epochs (MiniSUPERB's ASR). ``shuffled``: whatever comes (MiniSUPERB's other tasks). ``balanced``: utterances
            drawn anew for every batch, of all classes equally often (s3prl's keyword spotting); there are no epochs.
        classes: The class of every utterance, if batches are balanced.
    """
    if batches == "balanced":
        yield from _balanced(classes, batch_size, seed)
        return

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


def _balanced(classes: Sequence[Any], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Batches without end whose utterances are drawn, with replacement, by the inverse of their classes' sizes."""
    sizes = collections.Counter(classes)
    weights = np.array([1 / sizes[item] for item in classes])
    for number in itertools.count():
        yield generator(seed, "balanced", number).choice(len(weights), batch_size, p=weights / weights.sum()).tolist()


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
        model: TaskModel,
        train: Split,
        dev: Split,
        exits: TrainingExits,
        settings: TrainingSettings,
        workers: Workers,
    ) -> None:
        self.model, self.train, self.dev, self.settings, self.workers = model, train, dev, settings, workers
        self.exits = exits
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        decay = {"weight_decay": 0.0} if settings.optimizer == "adamw" else {}
        self.optimizer = kinds[settings.optimizer](model.parameters(), settings.learning_rate, fused=True, **decay)
        self.device = model.device
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.best_value: float | None = None
        self.losses: list[float] = []

    def batches(self) -> Iterator[list[int]]:
        """The training's batches, without end."""
        chosen = self.settings
        balanced = self.train.examples if chosen.batches == "balanced" else ()
        return order(self.train.features.frames, chosen.batch_size, chosen.seed, chosen.batches, balanced)

    def read(self, step: int, indices: list[int]) -> list[tuple[float, Read]]:
        """This process's parts of a batch, with the share of its utterances that is in each."""
        exits = self.exits.of_step(indices)
        parts = self.workers.share(indices, self.settings.accumulate)
        return [
            (len(part) / len(indices), self.train.read(part, [exits[index] for index in part], self.device))
            for part in parts
        ]

    def step(self, parts: list[tuple[float, Read]], step: int) -> float:
        """One update; the mean loss of the whole batch."""
        self.model.train()
        if self.settings.schedule == "linear":
            # A function of the step alone: there is no state to resume.
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * (1 - (step - 1) / self.settings.steps)
        self.optimizer.zero_grad()
        found = self.workers.backward(parts, lambda part: (self.loss(part), torch.zeros(0)), self.model.parameters())
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        # Read once all is under way. What is no number by now is in this process's memory alone.
        loss, largest = self.workers.reading(found, [norm])()
        for value in (loss, largest):
            check_finite(value, step, f"tasks.{self.settings.task}.learning_rate")
        return loss

    def loss(self, part: Read) -> Tensor:
        """The mean loss of some utterances."""
        states = self.train.states(part).to(self.device)
        with self.settings.compute.autocast():
            output = self.model(states, handed(part.layers, self.device), part.frames)
        return self.model.task.loss(output.float(), part.frames, part.examples)

    def dev_value(self) -> float:
        """The task's main metric on the dev set."""
        return set_metric(scores(self.model, self.dev), self.model.task.metrics[0])

    def look_at_dev(self, step: int) -> None:
        """Score the dev set, and keep the model if it is the best so far."""
        with spent.part("dev frames", float(self.dev.features.frames.sum())):
            metric, value = self.model.task.metrics[0], self.dev_value()
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
        spent.note("frames_per_recording", float(self.train.features.frames.mean()))
        for name, value in extra.items():
            setattr(self, name, value)

        def update(step: int, parts: list[tuple[float, Read]]) -> Values:
            loss = self.step(parts, step)
            self.losses.append(loss)
            values = {"loss": loss}
            if step % settings.dev_every == 0 or step == settings.steps:
                self.look_at_dev(step)
                values[f"dev_{metric}"] = self.history[-1][f"dev_{metric}"]
            best = "" if self.best_value is None else f", best dev {metric} {self.best_value:.1f}"
            return lambda: (values, f"loss {loss:.3f}{best}")

        names = ("history", "best", "best_value", "losses")

        def to_save() -> dict[str, Any]:
            return {name: getattr(self, name) for name in names}

        loop.run(self.batches(), self.read, update, to_save, done, self.train.reading(self.device))
        self.model.load_state_dict(self.best)
