"""The exit rule: whether an entropy stops an utterance, and the layer at which that leaves it.

Numbers and arrays alone, so that training, evaluation and every forward pass with a real exit decide by the same code.
Layers are counted from 1, entropies are in nats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from daisy.errors import DaisyError


@dataclasses.dataclass(frozen=True)
class ExitRule:
    """An utterance stops at the first candidate whose entropy is at most the threshold, or else at the last candidate.

    Attributes:
        candidates: Layers at which an utterance may stop; kept in order, each once.
        tau: The threshold.

    Raises:
        ValueError: if there is no candidate.
    """

    candidates: tuple[int, ...]
    tau: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(sorted(set(self.candidates))))
        if not self.candidates:
            raise ValueError("an exit rule without candidates")

    @property
    def last(self) -> int:
        """The largest candidate, where every utterance stops whatever its entropy."""
        return self.candidates[-1]

    def asks(self, k: int) -> bool:
        """Whether the branch of layer k is evaluated: that of the last candidate would change nothing."""
        return k in self.candidates[:-1]

    def stops(self, k: int, entropies: np.ndarray) -> np.ndarray:
        """Which utterances stop at layer k, one that is asked: the decision itself, and the only place that makes it.

        Args:
            k: The layer.
            entropies: (..., K) E_1 to E_K of each utterance; only candidates up to k are looked at, and a NaN among
                them stops nobody. What was measured before is there, should a rule want more than one candidate's word.

        Returns:
            (...) booleans.
        """
        return entropies[..., k - 1] <= self.tau

    def layer(self, entropies: Sequence[float]) -> int:
        """The layer at which an utterance stops, by E_k for k = 1..K."""
        return int(self.layers(np.asarray(entropies)[None])[0])

    def layers(self, entropies: np.ndarray) -> np.ndarray:
        """`layer` of every row of (N, K) entropies: (N,) integers."""
        found = np.full(len(entropies), self.last)
        for k in reversed(self.candidates[:-1]):
            found[self.stops(k, entropies)] = k
        return found


def all_candidates(floor: int, layers: int) -> tuple[int, ...]:
    """The candidates of training: every layer from `floor` (1 in the paper) to the last.

    Raises:
        DaisyError: if the model has no such layer.
    """
    if not 1 <= floor <= layers:
        raise DaisyError(f"a floor at layer {floor} of a model of {layers} layers", fix="Choose one of its layers")
    return tuple(range(floor, layers + 1))


def histogram(layers: Sequence[int] | np.ndarray, total: int) -> list[int]:
    """How many utterances stopped at each of the layers 1..total: the training exit histogram."""
    return np.bincount(np.asarray(layers, dtype=np.int64), minlength=total + 1)[1:].tolist()
