"""A pass over one recording that is padded to a fixed length, in steps that always launch the same work.

What is valid is known to the device alone, and masks make the result exact: nothing waits for a number, and no shape
depends on one. So the steps can be recorded once and played for every recording of about that length
(`daisy.hubert.graphs`).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from daisy.hubert.attention import attention, biased, packed_kernel
from daisy.hubert.branches import Branches
from daisy.hubert.config import Position
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import first_state, state_of
from daisy.hubert.packed_front_end import PackedFrontEnd
from daisy.hubert.packing import Frames, Packing
from daisy.hubert.products import precision
from daisy.hubert.relative import Gated


class Padded(Packing):
    """One utterance whose frames are padded, and their number a tensor.

    Args:
        time: Frames with the padding.
        count: () how many are valid, on the device.
    """

    def __init__(self, time: int, count: Tensor) -> None:
        super().__init__([time], count.device)
        self.count = count

    @functools.cached_property
    def valid(self) -> Tensor:
        """(T,) which frames are."""
        return torch.arange(self.lengths[0], device=self.device) < self.count

    @functools.cached_property
    def spare(self) -> Tensor:
        """(T,) which frames are not."""
        return ~self.valid

    @functools.cached_property
    def bounds(self) -> Tensor:
        """(2,) where the valid frames begin and end."""
        return torch.stack([torch.zeros_like(self.count), self.count]).int()

    def means(self, x: Tensor) -> Tensor:
        """(T,) to (1,): the mean over the valid frames. What the others hold does not matter."""
        return x.masked_fill(self.spare, 0).sum(0, keepdim=True) / self.count

    def attention(self, q: Tensor, k: Tensor, v: Tensor, gated: Gated | None = None) -> Tensor:
        """Every frame's attention over the valid ones: (T, heads, width) thrice to the same."""
        if gated is not None:
            strip, mask = self.strip(gated.positions), self.valid[None, None, None]
            return biased(q[None], k[None], v[None], gated.gate[None], strip, mask)[0]
        kernel = packed_kernel(q)
        if kernel is not None:
            return kernel(q, k, v, self.bounds, self.lengths[0])  # which leaves other frames as they come
        bias = torch.zeros_like(self.valid, dtype=q.dtype).masked_fill_(self.spare, float("-inf"))
        return attention(q[None], k[None], v[None], bias[None, None, None])[0]


class StaticPass:
    """The steps of a pass over one recording: `front_end`, then for each layer from 1 `layer`, and `check` if wanted.

    Args:
        encoder: The frozen HuBERT, on a GPU (elsewhere under `daisy.hubert.products.as_on_a_gpu`).
        branches: Its exit branches, if there are any.
        position: Which tensors are its states, and which ones the branches read.
        samples: The padded length.

    Attributes:
        wave: (N,) the samples; those behind the valid ones may be any that are finite.
        count: () how many are valid.
        states: (K + 1, T, D) what the steps gave.
        entropies: (K,) E_k in nats, likewise.
    """

    def __init__(self, encoder: Hubert, branches: Branches | None, position: Position, samples: int) -> None:
        self.encoder, self.branches, self.position = encoder, branches, position
        config, weight = encoder.config, encoder.encoder.layer_norm.weight
        self.time = config.frames(samples)
        self.wave = torch.zeros(samples, device=weight.device)
        self.count = torch.full((), samples, device=weight.device)
        self.states = weight.new_zeros(config.layers + 1, self.time, config.dim)
        self.entropies = torch.full((config.layers,), float("nan"), device=weight.device)
        self._packing: Padded
        self._x: list[Tensor] = []
        self._read: dict[int, Tensor] = {}

    def give(self, wave: Tensor) -> int:
        """Take a recording (N,), which is no longer than the pass; its number of frames."""
        self.wave[: len(wave)].copy_(wave)
        self.count.fill_(len(wave))
        return self.encoder.config.frames(len(wave))

    @torch.no_grad()
    def front_end(self) -> None:
        """State 0, and the input of layer 1."""
        encoder = self.encoder
        # Not by `where`, for which torch would bring the zero to a GPU, and wait.
        spare = torch.arange(len(self.wave), device=self.wave.device) >= self.count
        wave = self.wave.masked_fill(spare, 0)
        if encoder.config.normalize:
            centred = (wave - wave.sum() / self.count).masked_fill_(spare, 0)
            wave = centred * torch.rsqrt(centred.square().sum() / self.count + 1e-5)
        products = encoder.feature_extractor.products(wave.device)
        kind = precision(encoder.encoder.layer_norm.weight)
        assert isinstance(products, PackedFrontEnd) and kind is not None
        self._packing = Padded(self.time, products.valid(self.count))
        states = encoder.projected(products.one(wave, self.count))
        positions = encoder.encoder.pos_conv.one(states, self._packing.spare, kind)
        self._x = [encoder.placed(states, positions)]
        self._read = {}
        self.states[0].copy_(first_state(self.position, Frames(states, self._packing), self._x[0]))

    @torch.no_grad()
    def layer(self, k: int) -> None:
        """State k, of the step before."""
        x, inner = self.encoder.layer(k, self._x[k - 1], self._packing)
        self._x.append(x)
        self._read[k] = state_of(self.position, self.encoder, k, x, inner)
        self.states[k].copy_(self._read[k])

    @torch.no_grad()
    def check(self, k: int) -> None:
        """E_k, once layer k has run."""
        assert self.branches is not None
        self.entropies[k - 1 : k].copy_(self.branches.entropy(k, self._read[k], self._packing))
