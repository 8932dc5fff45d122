"""Where the training utterances of a downstream model exit, and the training exit histogram."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from daisy.exits.rule import ExitRule, histogram
from daisy.features.measured import Measured


@dataclasses.dataclass(frozen=True)
class EachItsOwn:
    """Every utterance exits for itself, and is counted once.

    Attributes:
        layers: (utterances,) their exits.
        total: K.
    """

    layers: np.ndarray
    total: int

    def of_step(self, batch: Sequence[int]) -> dict[int, int]:
        """The exit layers of a step's utterances."""
        return {index: int(self.layers[index]) for index in batch}

    def counts(self, batches: Iterable[Sequence[int]]) -> list[int]:
        """The histogram of a training of some steps."""
        return histogram(self.layers, self.total)


@dataclasses.dataclass(frozen=True)
class WholeBatch:
    """All utterances of a forward pass exit together, by the mean entropy over their frames (the published code).

    Attributes:
        measured: Their entropies.
        rule: When they stop.
        passes: Forward passes of a step: its batch is divided over as many.
    """

    measured: Measured
    rule: ExitRule
    passes: int = 1

    def of_step(self, batch: Sequence[int]) -> dict[int, int]:
        """The exit layers of a step's utterances."""
        return {index: layer for layer, part in self._passes(batch) for index in part}

    def counts(self, batches: Iterable[Sequence[int]]) -> list[int]:
        """The histogram of a training of some steps: every pass of each is counted."""
        layers = [layer for batch in batches for layer, _ in self._passes(batch)]
        return histogram(layers, self.measured.entropies.shape[1])

    def _passes(self, batch: Sequence[int]) -> list[tuple[int, Sequence[int]]]:
        # As `Workers.share` divides a batch over the passes of one process.
        parts = [batch[place :: self.passes] for place in range(self.passes)]
        return [(self.rule.layer(self.measured.of_batch(part).tolist()), part) for part in parts if len(part)]


TrainingExits = EachItsOwn | WholeBatch
"""Who exits where while a model is trained."""
