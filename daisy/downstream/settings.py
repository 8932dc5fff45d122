"""Settings of downstream training."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from daisy.common.compute import Compute
from daisy.exits.method import Method
from daisy.hubert.config import States

Fusion = Literal["dynamic", "dynamic-s"]
"""`dynamic`: K + 1 scalars, of which the first k + 1 go through a softmax. `dynamic-s`: a row of scalars
for every exit layer."""


Granularity = Literal["utterance", "batch"]
"""Who exits while a model is trained: every utterance by itself, or all of a forward pass together."""

Batches = Literal["similar", "fixed", "shuffled", "balanced"]
"""What comes into a batch together, see `daisy.downstream.trainer.order`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What the trainings of all a task's models have in their config.

    Attributes:
        task: The task's name.
        options: The task's own part of the config.
        states: Which hidden states the model reads.
        steps: Updates.
        batch_size: Utterances in a batch.
        optimizer: ``adam`` or ``adamw`` (without weight decay).
        learning_rate: The optimiser's, at the first step.
        schedule: ``constant`` (MiniSUPERB's), or ``linear``: down to zero at the last step.
        clip: Largest norm of the gradient.
        dev_every: Steps between two looks at the dev set, by which the model is chosen.
        seed: Seed of weights, order and dropout.
        save_every: Steps between two saved states.
        accumulate: Parts of a batch that run one after the other, for less memory.
        batches: What comes into a batch together.
        compute: Where, and how precisely; dev sets are scored in float32.
    """

    task: str
    options: dict[str, Any]
    states: States
    steps: int
    batch_size: int
    optimizer: str
    learning_rate: float
    schedule: Literal["constant", "linear"]
    clip: float
    dev_every: int
    seed: int
    save_every: int
    accumulate: int = 1
    batches: Batches = "similar"
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DownstreamSettings(TrainingSettings):
    """Config of `daisy.downstream.train`.

    Attributes:
        method: How every utterance gets its exit layer.
        fusion: How the states are summed.
        floor: No utterance stops below this layer. The layers of the training exits are the candidates at
            inference, so the floor reaches there too.
        granularity: Who exits in training, if exits are by entropy.
    """

    method: Method
    fusion: Fusion
    floor: int = 1
    granularity: Granularity = "utterance"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskExitsSettings(TrainingSettings):
    """Config of `daisy.downstream.train_task_exits`."""


@dataclasses.dataclass(frozen=True)
class TaskThresholdsSettings:
    """Config of `daisy.downstream.task_thresholds`.

    Attributes:
        task: The task's name.
        rho: The scales.
        floor: No utterance stops below this layer.
    """

    task: str
    rho: tuple[float, ...]
    floor: int = 1
