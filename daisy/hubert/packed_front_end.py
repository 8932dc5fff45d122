"""The convolutional front end for a batch as a whole, as a GPU likes it: a few large products, with no plan per shape.

The recordings lie one below the other, each in a slot of its own, channels last. A slot has, behind the first
convolution, a multiple of so many frames that every later stride divides it. So it has slot / stride frames behind a
convolution too, and the whole batch is one long sequence. Windows that reach into the next slot spoil only frames that
are none of the utterance's: its valid frames read valid frames alone, and in the end those are picked.

A convolution of kernel k and stride s is ceil(k / s) products. With s frames to a row, the j-th multiplies the rows
from j on by the taps from j s on: kernel 3, stride 2 is one product with pairs of frames and one with every second
frame, and kernel 2, stride 2 is one product. The first convolution is computed in float32 whatever the precision, since
bfloat16 would round the samples, and has its group norm in its weights (`daisy.hubert.front_end.folded`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.hubert.front_end import folded
from daisy.hubert.packing import sent
from daisy.hubert.products import exactly

Count = TypeVar("Count", int, Tensor)

CHUNK = 64
"""Frames at least whose sums for the group norm are one product: a GPU has many of them at once."""


class PackedConvolution:
    """One convolution over a long sequence, with what follows it.

    Args:
        conv: The convolution.
        norm: Layer norm of every frame, if any.
        kind: The precision.
    """

    def __init__(self, conv: nn.Conv1d, norm: nn.LayerNorm | None, kind: torch.dtype) -> None:
        (kernel,), (self.stride,) = conv.kernel_size, conv.stride
        self.norm, self.kind, self.width = norm, kind, conv.out_channels
        self.bias = None if conv.bias is None else conv.bias.detach().to(kind)
        taps = conv.weight.detach().to(kind).transpose(1, 2)  # (outputs, kernel, inputs)
        self.pieces = [taps[:, tap : tap + self.stride].flatten(1) for tap in range(0, kernel, self.stride)]

    def __call__(self, x: Tensor) -> Tensor:
        """(R, C) to (R / stride, C'), normed and activated."""
        rows = x.view(len(x) // self.stride, -1)
        count = len(rows) - len(self.pieces) + 1
        y = x.new_empty(len(rows), self.width)
        y[count:].zero_()  # whose windows end behind the last slot
        sums = y[:count]
        for number, weight in enumerate(self.pieces):
            part = rows[number : number + count, : weight.shape[1]]
            if number:
                sums.addmm_(part, weight.T)
            elif self.bias is None:
                torch.mm(part, weight.T, out=sums)
            else:
                torch.addmm(self.bias, part, weight.T, out=sums)
        if self.norm is not None:
            y = self.norm(y.to(self.norm.weight.dtype)).to(self.kind)
        return torch.ops.aten.gelu_(y)


@dataclasses.dataclass(frozen=True)
class Slots:
    """Where recordings lie behind the first convolution.

    Attributes:
        sizes: Frames of each slot.
        valid: (chunks,) how many frames of each chunk are valid, on the device.
        chunks: (B, most chunks) the chunks of each utterance, and one more than there are where it has no more; None
            for a single one, which has all.
    """

    sizes: Sequence[int]
    valid: Tensor
    chunks: Tensor | None


class PackedFrontEnd:
    """The whole convolutional front end for a batch of recordings."""

    def __init__(self, layers: list[tuple[nn.Conv1d, nn.GroupNorm | nn.LayerNorm | None]], kind: torch.dtype) -> None:
        (self.conv, norm), *rest = layers
        (self.kernel,), (self.stride,) = self.conv.kernel_size, self.conv.stride
        self.kind = kind
        self.group = norm if isinstance(norm, nn.GroupNorm) else None
        self.norm = norm if isinstance(norm, nn.LayerNorm) else None
        self.rest = [
            PackedConvolution(conv, norm if isinstance(norm, nn.LayerNorm) else None, kind) for conv, norm in rest
        ]
        self.shapes = [(conv.kernel_size[0], conv.stride[0]) for conv, _ in layers]
        self.hop = math.prod(layer.stride for layer in self.rest)
        self.unit = self.hop * -(-CHUNK // self.hop)
        self.weight = self.conv.weight.detach().flatten(1).float()
        self.bias = None if self.conv.bias is None else self.conv.bias.detach().float()

    def __call__(self, waves: Sequence[Tensor]) -> Tensor:
        """Recordings (N,) to packed frames (R, C)."""
        device = waves[0].device
        counts = [(len(wave) - self.kernel) // self.stride + 1 for wave in waves]
        sizes = [self.size(count) for count in counts]
        parts = []
        for wave, size in zip(waves, sizes, strict=True):
            whole = wave[: size * self.stride].float()
            parts += [whole, wave.new_zeros(size * self.stride - len(whole), dtype=torch.float32)]
        samples = torch.cat([*parts, parts[0].new_zeros(self.kernel)])
        x = self.frames(samples, self._slots(counts, sizes, device))
        starts = np.cumsum([0, *sizes[:-1]]) // self.hop
        places = [start + np.arange(self.valid(len(wave))) for start, wave in zip(starts, waves, strict=True)]
        return x.index_select(0, sent(np.concatenate(places), device))

    def size(self, count: int) -> int:
        """A slot for so many frames behind the first convolution, whose last window's samples lie in it, too."""
        return -(-(count - 1 + -(-self.kernel // self.stride)) // self.unit) * self.unit

    def valid(self, count: Count) -> Count:
        """How many frames so many samples give; whole numbers, or a tensor of them."""
        for kernel, stride in self.shapes:
            count = (count - kernel) // stride + 1
        return count

    def _slots(self, counts: Sequence[int], sizes: Sequence[int], device: torch.device) -> Slots:
        """The slots of utterances with so many valid frames behind the first convolution."""
        own = [size // self.unit for size in sizes]
        valid = [
            np.clip(count - self.unit * np.arange(number), 0, self.unit)
            for count, number in zip(counts, own, strict=True)
        ]
        if len(own) == 1:
            return Slots(sizes, sent(valid[0], device), None)
        chunks = np.full((len(own), max(own)), sum(own))
        for row, number, end in zip(chunks, own, np.cumsum(own), strict=True):
            row[:number] = np.arange(end - number, end)
        return Slots(sizes, sent(np.concatenate(valid), device), sent(chunks, device))

    def one(self, wave: Tensor, count: Tensor) -> Tensor:
        """All frames of one recording that is padded: samples (N,), of which `count` () are valid, to (T, C)."""
        first = (len(wave) - self.kernel) // self.stride + 1
        size = self.size(first)
        whole = wave[: size * self.stride].float()
        samples = F.pad(whole, (0, size * self.stride + self.kernel - len(whole)))
        starts = torch.arange(0, size, self.unit, device=wave.device)
        counted = ((count - self.kernel) // self.stride + 1 - starts).clamp(0, self.unit)
        return self.frames(samples, Slots([size], counted, None))[: self.valid(len(wave))]

    def frames(self, samples: Tensor, slots: Slots) -> Tensor:
        """All frames of all slots, valid or not.

        Nothing here waits for the device or depends on what is valid but through `slots.valid`.

        Args:
            samples: Those of the slots one below the other, and the first convolution's kernel more.
            slots: Where they lie.

        Returns:
            (R, C), where a slot has its frames behind the first convolution over all further strides.
        """
        with exactly(samples):
            total = sum(slots.sizes)
            windows = samples.as_strided((total, self.kernel), (self.stride, 1)).contiguous()
            y = self._first(windows, slots)
            for layer in self.rest:
                y = layer(y)
        return y

    def _first(self, windows: Tensor, slots: Slots) -> Tensor:
        """(R, kernel) to (R, C): the first convolution, its norm and its activation."""
        y = windows.new_empty(len(windows), len(self.weight), dtype=self.kind)
        weights: Any = [self.weight] * len(slots.sizes)
        biases: Any = [self.bias] * len(slots.sizes)
        if self.group is not None:
            weights, biases = folded(self.weight, self.group, *self._moments(windows, slots))
        begin = 0
        for size, weight, bias in zip(slots.sizes, weights, biases, strict=True):
            part, out = windows[begin : begin + size], y[begin : begin + size]
            sums = part @ weight.T if bias is None else torch.addmm(bias, part, weight.T)
            out.copy_(sums if self.norm is None else self.norm(sums.to(self.norm.weight.dtype)))
            begin += size
        return torch.ops.aten.gelu_(y)

    def _moments(self, windows: Tensor, slots: Slots) -> tuple[Tensor, Tensor]:
        """Mean (B, kernel) and covariance (B, kernel, kernel) of each utterance's valid windows, in double precision.

        A column of ones beside the samples makes one product give their number, sums and second moments. Double
        precision leaves digits enough to take the mean away afterwards.
        """
        kernel = self.kernel
        samples = windows.new_empty(len(windows) // self.unit, self.unit, kernel + 1, dtype=torch.float64)
        samples[..., :kernel] = windows.view(-1, self.unit, kernel)
        samples[..., kernel].fill_(1)
        samples.mul_((torch.arange(self.unit, device=windows.device) < slots.valid[:, None])[..., None])
        sums = torch.bmm(samples.mT, samples)
        if slots.chunks is None:
            sums = sums.sum(0, keepdim=True)
        else:
            flat = torch.cat([sums, torch.zeros_like(sums[:1])]).index_select(0, slots.chunks.flatten())
            sums = flat.unflatten(0, cast("Any", slots.chunks.shape)).sum(1)
        second = sums[:, :kernel, :kernel] / sums[:, kernel:, kernel:]
        mean = sums[:, kernel, :kernel] / sums[:, kernel, kernel:]
        return mean, second - mean[:, :, None] * mean[:, None]
