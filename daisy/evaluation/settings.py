"""Settings of the evaluation."""

from __future__ import annotations

import dataclasses

from daisy.common.compute import Compute
from daisy.exits.method import Method


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """Config of `daisy.evaluation.evaluate`.

    Attributes:
        method: How every utterance gets its exit layer.
        strategies: q of every strategy (only ``threshold`` uses it); empty for a baseline.
        draws: Bootstrap draws.
        timed: Test recordings that are timed.
        rounds: Timed runs of each.
        seed: Seed of bootstrap and sample.
        training_seed: Seed that the downstream model was trained with.
        compute: Where; speed is measured there too.
        signal: What branches are asked for, where exits follow them.
    """

    method: Method
    strategies: dict[str, float]
    draws: int
    timed: int
    rounds: int
    seed: int
    training_seed: int
    compute: Compute = Compute()
    signal: str = "entropy"


@dataclasses.dataclass(frozen=True)
class LayersSettings:
    """Config of `daisy.evaluation.layers`.

    Attributes:
        compute: Where.
    """

    compute: Compute = Compute()
