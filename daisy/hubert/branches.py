"""Exit branches: one linear classifier per layer, and the entropy of what it says."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.hubert.front_end import STRETCH
from daisy.hubert.packing import Packing
from daisy.hubert.products import Keeper, Product, Trained, as_a_whole, precision, trains


class Branches(Keeper, nn.Module):
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

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of one branch."""
        _, classes, dim = self.shape
        return frames * classes * dim

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights as `nn.Linear` does, from an explicit generator."""
        bound = 1 / math.sqrt(self.weight.shape[-1])
        with torch.no_grad():
            self.weight.uniform_(-bound, bound, generator=generator)
            self.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, k: int, states: Tensor) -> Tensor:
        """Logits of branch k (from 1): (R, D) to (R, C)."""
        kind = precision(self.weight)
        if kind is None:
            return F.linear(states, self.weight[k - 1], self.bias[k - 1])
        return self.kept([self.weight, self.bias], kind, lambda: self._products(kind))[k - 1](states)

    def _products(self, kind: torch.dtype) -> list[Product]:
        # Not before they are asked for: to go through a parameter's rows takes as long as a small product.
        return [Product(weight, bias, kind) for weight, bias in zip(self.weight, self.bias, strict=True)]

    def logits(self, states: Tensor) -> Tensor:
        """Logits of all branches, to be trained: h_1 to h_K (K, R, D), which get no gradient, to (K, R, C)."""
        if trains(self.weight):
            return cast("Tensor", Trained.apply(states, self.weight, self.bias))
        return torch.baddbmm(self.bias[:, None], states, self.weight.transpose(1, 2))

    def entropy(self, k: int, states: Tensor, packing: Packing) -> Tensor:
        """E_k of every utterance in nats: h_k (R, D) to (B,), the mean over its frames.

        On a CPU in stretches of frames that stay in the processor's cache.
        """
        if len(states) <= STRETCH or as_a_whole(states.device):
            return packing.means(frame_entropy(self(k, states)))
        return packing.means(torch.cat([frame_entropy(self(k, part)) for part in states.split(STRETCH)]))


def frame_entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) in nats: (..., C) to (...), in float32.

    With l the logits less their largest, H = log sum e^l - (sum l e^l) / (sum e^l), which takes half the passes of a
    log-softmax. A class of probability exactly zero counts zero, as in the limit. A GPU at batch 1 waits for launches:
    there the fewest count.
    """
    if as_a_whole(logits.device):
        return torch.special.entr(torch.softmax(logits, -1, dtype=torch.float32)).sum(-1)
    logits = logits.float()
    less = (logits - logits.amax(-1, keepdim=True)).clamp_min(torch.finfo(torch.float32).min)
    powers = less.exp()
    total = powers.sum(-1)
    return total.log() - (powers * less).sum(-1) / total
