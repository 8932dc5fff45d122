"""The whole model: every hidden state and every branch's entropy, with no exit.

Apart from `daisy.hubert.early_exit`, because features depend on the model and not on the exit rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from daisy.hubert.branches import Branches
from daisy.hubert.config import Position
from daisy.hubert.encoder import Hubert


@dataclasses.dataclass(frozen=True)
class Layers:
    """What one utterance gives.

    Attributes:
        states: (K + 1, T, D): state 0, then h_1 to h_K, or to the last one that was wanted.
        entropies: (K,) E_k in nats, likewise; NaN without branches.
    """

    states: Tensor
    entropies: list[float]


@torch.no_grad()
def every_layer(
    encoder: Hubert,
    branches: Branches | None,
    position: Position,
    waves: Sequence[Tensor],
    last: int | None = None,
) -> list[Layers]:
    """Run a batch through all layers; no utterance changes what another one gets.

    Args:
        encoder: The frozen HuBERT.
        branches: Its exit branches, if it has any.
        position: Which tensor of a layer is its hidden state.
        waves: One (N,) float tensor at 16 kHz per utterance.
        last: The layer behind which nothing is wanted; the model's last one if not given.
    """
    layers = last or encoder.config.layers
    frames = encoder.front_end(waves)
    kept = [frames.split()]
    entropies = [[float("nan")] * layers for _ in waves]
    x = encoder.before_layers(frames)
    for k in range(1, layers + 1):
        x, inner = encoder.layer(k, x, frames.packing)
        h = x if position == "after-norm" else inner
        kept.append(frames.packing.split(h.to(x.dtype)))
        if branches is not None:
            for row, value in zip(entropies, branches.entropy(k, h, frames.packing).tolist(), strict=True):
                row[k - 1] = value
    return [Layers(torch.stack(states), row) for states, row in zip(zip(*kept, strict=True), entropies, strict=True)]
