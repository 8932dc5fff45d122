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

Batches = Literal["similar", "fixed", "shuffled"]
"""What comes into a batch together, see `daisy.downstream.train.order`."""


@dataclasses.dataclass(frozen=True)
class DownstreamSettings:
    """Config of `daisy.downstream.train`.

    Attributes:
        task: The task's name.
        options: The task's own part of the config.
        method: How every utterance gets its exit layer.
        states: Which hidden states the model reads.
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
        accumulate: Parts of a batch that run one after the other, for less memory.
        granularity: Who exits in training, if exits are by entropy.
        batches: What comes into a batch together.
        compute: Where, and how precisely; dev sets are scored in float32.
    """

    task: str
    options: dict[str, Any]
    method: Method
    states: States
    fusion: Fusion
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
    accumulate: int = 1
    granularity: Granularity = "utterance"
    batches: Batches = "similar"
    compute: Compute = Compute()
