"""The positional convolution, 128 taps long, as products: per frequency on a CPU, by bands on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.hubert.packing import sent
from daisy.hubert.products import exactly

BLOCK = 256
"""Frames of a block of overlap-save, of which those but the kernel's length are new."""

BAND = 16
"""Frames that one banded product makes: of its weight's 143 rows a column uses 128, and no more than that is wasted."""


class Positional:
    """The positional convolution by overlap-save, for one utterance, in float32: a product per frequency."""

    def __init__(self, conv: nn.Conv1d) -> None:
        (self.kernel,), (self.padding,) = conv.kernel_size, cast("tuple[int]", conv.padding)
        self.groups, self.bias = conv.groups, conv.bias
        self.size = max(BLOCK, 2 * self.kernel)
        # torch's convolution is a correlation; as a convolution its kernel is turned round.
        turned = conv.weight.detach().float().flip(-1).view(self.groups, -1, *conv.weight.shape[1:])
        self.weight = torch.fft.rfft(turned, self.size).permute(3, 0, 1, 2).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """(T, D) to (T, D)."""
        time, dim = x.shape
        step = self.size - self.kernel + 1
        blocks = -(-time // step)
        padded = F.pad(x.float().T, (self.padding, blocks * step + self.kernel - 1 - time - self.padding))
        pieces = torch.fft.rfft(padded.unfold(1, self.size, step))  # (D, blocks, frequencies)
        pieces = pieces.view(self.groups, dim // self.groups, blocks, -1).permute(3, 0, 1, 2)
        made = (self.weight @ pieces).permute(1, 2, 3, 0).reshape(dim, blocks, -1)
        y = torch.fft.irfft(made, self.size)[..., self.kernel - 1 :].reshape(dim, -1)[:, :time].T
        return y if self.bias is None else y + self.bias


class Banded:
    """The positional convolution of a batch as a whole: 16 frames of a group are one row of a product.

    The row holds the 15 + kernel frames that they see, and the weight has for each of them the kernel, one frame lower
    than for the one before. It takes 16 (15 + kernel) D^2 / groups numbers: 169 MB for HuBERT Base in bfloat16, 300 MB
    for Large, twice that in float32.

    Args:
        conv: The convolution.
        kind: The precision of its products.
    """

    def __init__(self, conv: nn.Conv1d, kind: torch.dtype) -> None:
        (self.kernel,), (self.padding,) = conv.kernel_size, cast("tuple[int]", conv.padding)
        self.groups, self.kind, self.bias = conv.groups, kind, conv.bias
        self.seen = BAND - 1 + self.kernel
        taps = conv.weight.detach().to(kind).unflatten(0, (self.groups, -1)).transpose(2, 3)
        self.width = taps.shape[1]  # channels of a group, that come out and that go in; taps are (G, out, kernel, in)
        weight = taps.new_zeros(self.groups, BAND, self.width, self.seen, self.width)
        for place in range(BAND):
            weight[:, place, :, place : place + self.kernel] = taps
        self.weight = weight.view(self.groups, BAND * self.width, self.seen * self.width)

    def __call__(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """(R, D) of utterances of such lengths, one below the other, to the same in float32."""
        rows, blocks, valid, begin, made = [], [], [], 0, 0
        for length in lengths:
            count = -(-length // BAND)
            rows.append(begin + self.padding + np.arange(length))
            blocks.append(begin // BAND + np.arange(count))
            valid.append(made + np.arange(length))
            # Zeros as far as its last frame sees and the next one's first frame does, which is no less.
            begin += -(-(self.padding + length) // BAND) * BAND
            made += count * BAND
        row, block, frame = (sent(np.concatenate(part), x.device) for part in (rows, blocks, valid))
        padded = x.new_zeros(begin + self.padding + self.seen, x.shape[1], dtype=self.kind)
        padded.index_copy_(0, row, x.to(self.kind))
        return self._out(self._products(padded, block).index_select(1, frame))

    def one(self, x: Tensor) -> Tensor:
        """(T, D) of one utterance to the same, with no places to be sent to the device."""
        time = len(x)
        blocks = -(-time // BAND)
        end = (blocks - 1) * BAND + self.seen - self.padding - time
        padded = F.pad(x.to(self.kind), (0, 0, self.padding, end))
        return self._out(self._products(padded, None)[:, :time])

    def _products(self, padded: Tensor, block: Tensor | None) -> Tensor:
        """(P, D) to (groups, 16 x blocks, D / groups), of the blocks that are named or of all."""
        dim = padded.shape[1]
        # Copied eight bytes at a time where a group's channels allow it.
        wide = self.width * padded.element_size() % 8 == 0
        some = padded.view(torch.int64) if wide else padded
        row, width = some.shape[1], some.shape[1] // self.groups
        total = (len(some) - self.seen) // BAND + 1
        windows = some.as_strided((self.groups, total, self.seen, width), (width, BAND * row, row, 1))
        windows = windows.contiguous() if block is None else windows.index_select(1, block)
        windows = windows.view(self.kind).view(self.groups, -1, self.seen * (dim // self.groups))
        with exactly(windows):
            return torch.bmm(windows, self.weight.mT).view(self.groups, -1, self.width)

    def _out(self, y: Tensor) -> Tensor:
        """(groups, R, D / groups) to (R, D)."""
        y = y.transpose(0, 1).flatten(1).float()
        return y if self.bias is None else y + self.bias
