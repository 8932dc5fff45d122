"""A time-delay neural network: layers that see a few frames on either side (Waibel et al., 1989).

It reaches as far as its layers do and no further, so that what a word sounds like has to be in the features already: a
recurrent network of the same width learns a small language by itself, whatever it is given. On a CPU it is faster, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.tasks.base import valid

REACH = 2
"""Frames that a layer sees on either side, `2 ** number` of them apart in layer `number`, from 0."""


class TDNN(nn.Module):
    """Residual time-delay layers; every utterance gets what it gets alone.

    A layer splices the normalised frames with their neighbours, as Kaldi's do, and adds what two products and a
    rectifier make of them to its input.

    Args:
        dim: Width of input and output.
        hidden: Width between the two products.
        layers: How many.
        dropout: Of what a layer adds.

    Attributes:
        width: Of the output.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.width = dim
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.spliced = nn.ModuleList(nn.Linear((2 * REACH + 1) * dim, hidden) for _ in range(layers))
        self.back = nn.ModuleList(nn.Linear(hidden, dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.dropout = dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, dim) with (B,) valid frames to (B, T, dim); what lies behind the valid frames is undefined."""
        total, there = x.shape[1], valid(x, lengths)[..., None]
        for apart, norm, spliced, back in self.stacked():
            around = F.pad(torch.where(there, norm(x), 0), (0, 0, REACH * apart, REACH * apart))
            # Beside each other, and not as a convolution: half the time of a dilated one, forward and backward.
            beside = torch.cat([around[:, place * apart :][:, :total] for place in range(2 * REACH + 1)], -1)
            x = x + F.dropout(back(F.relu(spliced(beside))), self.dropout, self.training)
        return self.norm(x)

    def stacked(self) -> Iterator[tuple[int, nn.LayerNorm, nn.Linear, nn.Linear]]:
        """Each layer: how far apart the frames are that it sees, its norm, and its two products."""
        for number, parts in enumerate(zip(self.norms, self.spliced, self.back, strict=True)):
            yield 2**number, *cast("tuple[nn.LayerNorm, nn.Linear, nn.Linear]", parts)

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the products."""
        return frames * sum(layer.weight.numel() for layer in (*self.spliced, *self.back))
