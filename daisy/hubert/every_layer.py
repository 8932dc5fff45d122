"""The whole model: every hidden state and every branch's entropy, with no exit.

Apart from `daisy.hubert.early_exit`, because features depend on the model and not on the exit rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from daisy.hubert.branches import Branches
from daisy.hubert.config import Position, States
from daisy.hubert.encoder import Hubert
from daisy.hubert.kept_states import KeptStates
from daisy.hubert.packing import Frames, Packing
from daisy.hubert.windows import Windows


@dataclasses.dataclass(frozen=True)
class Layers:
    """What one utterance gives.

    Attributes:
        states: (K + 1, T, D): the states 0 to K, or to the last one that was wanted. On a GPU a part of one tensor of
            the whole batch.
        entropies: (K,) E_k in nats, likewise; NaN without branches.
    """

    states: Tensor
    entropies: list[float]


def first_state(kind: States, frames: Frames, x: Tensor) -> Tensor:
    """State 0 (R, D), of what the front end gave and of the input of layer 1."""
    return x if kind == "s3prl" else frames.states


def state_of(kind: States, encoder: Hubert, k: int, x: Tensor, inner: Tensor) -> Tensor:
    """State k (R, D), of layer k's output and its second feed-forward layer's output."""
    if kind == "before-norm":
        return inner
    if kind == "s3prl" and encoder.config.pre_norm and k == encoder.config.layers:
        return encoder.encoder.layer_norm(x)
    return x


@torch.no_grad()
def every_layer(
    encoder: Hubert,
    waves: Sequence[Tensor],
    states: States,
    branches: Branches | None = None,
    position: Position = "after-norm",
    last: int | None = None,
    windows: Windows | None = None,
) -> list[Layers]:
    """Run a batch through all layers; no utterance changes what another one gets.

    Args:
        encoder: The frozen HuBERT.
        waves: One (N,) float tensor at 16 kHz per utterance.
        states: Which tensors are its hidden states.
        branches: Its exit branches, if entropies are wanted.
        position: Which tensor of a layer they read.
        last: The layer behind which nothing is wanted; the model's last one if not given.
        windows: How long recordings are cut.
    """
    layers = last or encoder.config.layers
    frames = encoder.front_end(waves, windows=windows, last=layers)
    x = encoder.before_layers(frames)
    kept, columns = KeptStates(frames.packing, layers + 1), []
    kept.add(first_state(states, frames, x), frames.packing)
    for k in range(1, layers + 1):
        x, inner = encoder.layer(k, x, frames.packing)
        kept.add(state_of(states, encoder, k, x, inner).to(x.dtype), frames.packing)
        if branches is not None:
            columns.append(branches.entropy(k, state_of(position, encoder, k, x, inner), frames.packing))
    # Read at the end, since a GPU is waited for when a number is read.
    entropies = torch.stack(columns, 1).tolist() if columns else [[float("nan")] * layers for _ in waves]
    return [Layers(kept.of(number), row) for number, row in enumerate(entropies)]


def layer_by_layer(encoder: Hubert, waves: Sequence[Tensor], kind: States) -> Iterator[tuple[int, Tensor, Packing]]:
    """Layer by layer its number and its state, (R, D) of a batch, without holding on to one."""
    frames = encoder.front_end(waves)
    x = encoder.before_layers(frames)
    for k in range(1, encoder.config.layers + 1):
        x, inner = encoder.layer(k, x, frames.packing)
        yield k, state_of(kind, encoder, k, x, inner), frames.packing


@torch.no_grad()
def entropies_of(encoder: Hubert, waves: Sequence[Tensor], branches: Branches, position: Position) -> Tensor:
    """(utterances, K) float64 E_k in nats of a batch, as `every_layer` has them."""
    columns = [branches.entropy(*read) for read in layer_by_layer(encoder, waves, position)]
    return torch.stack(columns, 1).double()
