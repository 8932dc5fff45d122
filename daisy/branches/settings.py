"""Settings of the training of exit branches."""

from __future__ import annotations

import dataclasses

from daisy.common.compute import Compute
from daisy.hubert.config import Position


@dataclasses.dataclass(frozen=True)
class BranchesSettings:
    """Config of `daisy.branches.train`.

    Attributes:
        position: Which tensor of a layer the branches read.
        steps: Updates.
        batch_seconds: Audio in one batch.
        learning_rate: Adam's.
        seed: Seed of the weights and of the order of batches.
        save_every: Steps between two saved states.
        accumulate: Parts of a batch that run one after the other, for less memory.
        compute: Where, and how precisely.
    """

    position: Position
    steps: int
    batch_seconds: float
    learning_rate: float
    seed: int
    save_every: int
    accumulate: int = 1
    compute: Compute = Compute()
