"""The features of an utterance that stopped at layer k: a learnt weighted sum of the states 0 to k."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daisy.downstream.settings import Fusion


class LayerSum(nn.Module):
    """Softmax-weighted sum of layer-normalised hidden states (paper, section 2.2).

    Args:
        layers: K.
        kind: Whether all exits share their scalars.
    """

    def __init__(self, layers: int, kind: Fusion = "dynamic") -> None:
        super().__init__()
        self.kind = kind
        self.scalars = nn.Parameter(torch.zeros((layers, layers + 1) if kind == "dynamic-s" else (layers + 1,)))

    def weights(self, exits: Tensor) -> Tensor:
        """(B, K + 1) weights for the exit layers (B,): a softmax over the first k + 1, zero behind."""
        total = self.scalars.shape[-1]
        rows = self.scalars[exits - 1] if self.kind == "dynamic-s" else self.scalars.expand(len(exits), total)
        beyond = torch.arange(total, device=exits.device) > exits[:, None]
        return rows.masked_fill(beyond, float("-inf")).softmax(-1)

    def forward(self, states: Tensor, exits: Tensor) -> Tensor:
        """Sum the states.

        Args:
            states: (B, T, n, D) layer-normalised, with n > max(exits).
            exits: (B,) exit layers.

        Returns:
            (B, T, D).
        """
        weights = self.weights(exits)[:, : states.shape[2]]
        # A tenth of what the same einsum takes on a CPU, which copies the states first.
        return torch.matmul(weights[:, None, None], states).squeeze(2)
