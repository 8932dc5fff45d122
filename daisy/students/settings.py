"""Settings of the distillation of a student."""

from __future__ import annotations

import dataclasses

from daisy.common.compute import Compute


@dataclasses.dataclass(frozen=True)
class StudentSettings:
    """Config of `daisy.students.distil`.

    Attributes:
        layers: The student's transformer layers, which begin as the teacher's first ones.
        heads: How many of the teacher's layers are predicted, at equal distances up to its last.
        front_end: Whether the convolutions learn, too.
        steps: Updates.
        warmup: The share of them in which the learning rate rises; then it falls to zero.
        batch_seconds: Audio in one batch.
        learning_rate: AdamW's, at its highest.
        seed: Seed of the heads' weights and of the order of batches.
        save_every: Steps between two saved states.
        accumulate: Parts of a batch that run one after the other, for less memory.
        compute: Where, and how precisely.
    """

    layers: int
    heads: int
    front_end: bool
    steps: int
    warmup: float
    batch_seconds: float
    learning_rate: float
    seed: int
    save_every: int
    accumulate: int = 1
    compute: Compute = Compute()
