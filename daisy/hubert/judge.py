"""Who is asked whether an utterance may stop: the exit branches, or heads that were trained for a task."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from daisy.hubert.packing import Packing


class Judge(Protocol):
    """What measures how unsure a model is at a layer."""

    def entropy(self, k: int, states: Tensor, packing: Packing) -> Tensor:
        """E_k of every utterance in nats: h_k (R, D) to (B,)."""
