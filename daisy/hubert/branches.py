"""Exit branches: one linear classifier per layer, and the entropy of what it says."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Branches(nn.Module):
    """K linear classifiers, `p_k = softmax(W_k h_k + b_k)` (paper, section 2.1).

    Args:
        layers: K.
        classes: C.
        dim: D.
    """

    def __init__(self, layers: int, classes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, classes, dim))
        self.bias = nn.Parameter(torch.zeros(layers, classes))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K, C, D)."""
        layers, classes, dim = self.weight.shape
        return layers, classes, dim

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights as `nn.Linear` does, from an explicit generator."""
        bound = 1 / math.sqrt(self.weight.shape[-1])
        with torch.no_grad():
            self.weight.uniform_(-bound, bound, generator=generator)
            self.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, k: int, states: Tensor) -> Tensor:
        """Logits of branch k (from 1): (..., D) to (..., C)."""
        return F.linear(states, self.weight[k - 1], self.bias[k - 1])


def frame_entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) in nats: (..., C) to (...).

    Computed in float32 from log-softmax; a class of probability exactly zero counts zero, as in the limit.
    """
    log_p = F.log_softmax(logits.float(), dim=-1)
    floor = torch.finfo(log_p.dtype).min
    return -(log_p.exp() * log_p.clamp_min(floor)).sum(-1)


def mean_entropy(logits: Tensor, mask: Tensor | None) -> Tensor:
    """E_k of every utterance: the mean of the frames' entropies over valid frames.

    Args:
        logits: (B, T, C).
        mask: (B, T), true where a frame is valid; None if all are.

    Returns:
        (B,) in nats.
    """
    entropy = frame_entropy(logits)
    if mask is None:
        return entropy.mean(1)
    return torch.where(mask, entropy, 0).sum(1) / mask.sum(1)
