"""The convolutional front end on a CPU, one recording at a time and channels last.

A product's rows are frames where they lie in memory, nothing is padded, and an utterance gets what it gets alone. Two
savings, exact but for rounding:

- Frames pass the first two convolutions, the costliest, in stretches that stay in the processor's cache. That needs the
  first group norm's statistics beforehand: its convolution is linear, so they follow from the mean and the covariance
  of the samples under the kernel.
- In float32, a convolution of kernel 3 and stride 2 is one tap on odd frames and two on even ones. Of those two,
  minimal filtering (Winograd, 1980: F(2, 2)) makes two outputs with three products in place of four.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.hubert.products import Product

STRETCH = 512
"""Output frames at once for each core: 512 of 512 channels are 1 MiB, half of what its second cache often holds."""

STEP = 64
"""The last stretch has a multiple of so many frames, the first of them computed twice: code for it is then known."""

PART = 2**18
"""Windows of samples whose moments are summed at once, of a recording that is too long for all of them: 20 MB."""


class Convolution:
    """One convolution over time with what follows it, its weights laid out for products.

    Args:
        conv: The convolution.
        norm: Layer norm of every frame, if any.
        kind: The precision.
    """

    def __init__(self, conv: nn.Conv1d, norm: nn.LayerNorm | None, kind: torch.dtype) -> None:
        (self.kernel,), (self.stride,) = conv.kernel_size, conv.stride
        self.bias, self.norm, self.width = conv.bias, norm, conv.out_channels
        self.filtered = (self.kernel, self.stride) == (3, 2) and kind == torch.float32
        taps = conv.weight.detach().permute(2, 1, 0)
        if self.filtered:
            self.parts = [Product(tap.T, None, kind) for tap in (*taps, taps[0] + taps[2])]
        else:
            self.product = Product(taps.reshape(-1, self.width).T, conv.bias, kind)

    def frames(self, count: int) -> int:
        """How many frames come out of `count`."""
        return (count - self.kernel) // self.stride + 1

    def stretches(self, count: int) -> Iterator[tuple[slice, slice]]:
        """Pairs of stretches, of the frames that go in and of those that come out."""
        total, size = self.frames(count), STRETCH * torch.get_num_threads()
        for begin in range(0, total, size):
            end = min(total, begin + size)
            begin = max(0, end - -(-(end - begin) // STEP) * STEP)
            yield slice(begin * self.stride, (end - 1) * self.stride + self.kernel), slice(begin, end)

    def __call__(self, x: Tensor) -> Tensor:
        """(T, C) to (T', C'), normed and activated."""
        if not self.filtered:
            y = self.product(self._windows(x), gelu=self.norm is None)
            return y if self.norm is None else activated(y, self.norm)
        y = self._filter(x)
        return activated(y if self.bias is None else y.add_(self.bias), self.norm)

    def _windows(self, x: Tensor) -> Tensor:
        count = self.frames(len(x))
        if self.kernel == self.stride:
            return x[: count * self.kernel].reshape(count, -1)
        return x.unfold(0, self.kernel, self.stride).transpose(1, 2).reshape(count, -1)

    def _filter(self, x: Tensor) -> Tensor:
        first, middle, last, both = self.parts
        count = self.frames(len(x))
        even, pairs = x[::2], count // 2
        y = middle(x[1 : 2 * count : 2])
        one, two = y[0 : 2 * pairs : 2], y[1 : 2 * pairs : 2]
        left, centre, right = (even[place : place + 2 * pairs - 1 : 2] for place in range(3))
        shared = both(centre)
        one.add_(shared).add_(first(left - centre))
        two.add_(shared).add_(last(right - centre))
        if count % 2:
            y[-1:] += first(even[count - 1 : count]) + last(even[count : count + 1])
        return y


def activated(y: Tensor, norm: nn.LayerNorm | None) -> Tensor:
    """What follows a convolution's sums."""
    return F.gelu(y if norm is None else norm(y.to(norm.weight.dtype)))


class FrontEnd:
    """The whole convolutional front end, for one recording at a time."""

    def __init__(self, layers: list[tuple[nn.Conv1d, nn.GroupNorm | nn.LayerNorm | None]], kind: torch.dtype) -> None:
        (self.conv, norm), *rest = layers
        self.kind = kind
        self.group = norm if isinstance(norm, nn.GroupNorm) else None
        self.norm = norm if isinstance(norm, nn.LayerNorm) else None
        self.rest = [Convolution(conv, norm if isinstance(norm, nn.LayerNorm) else None, kind) for conv, norm in rest]

    def __call__(self, wave: Tensor) -> Tensor:
        """(N,) to (T, C)."""
        (kernel,), (stride,) = self.conv.kernel_size, self.conv.stride
        windows = wave.float().unfold(0, kernel, stride)
        product = Product(*self._normed(windows), torch.float32)  # bfloat16 would round the samples

        def frames(part: slice) -> Tensor:
            y = product(windows[part], gelu=self.norm is None)
            return (y if self.norm is None else activated(y, self.norm)).to(self.kind)

        given: Callable[[slice], Tensor] = frames
        count = len(windows)
        for layer in self.rest:
            y = wave.new_empty(layer.frames(count), layer.width, dtype=self.kind)
            for inside, outside in layer.stretches(count):
                y[outside] = layer(given(inside))
            given, count = y.__getitem__, len(y)
        return given(slice(None))

    def _normed(self, windows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the first convolution with its group norm in them."""
        weight = self.conv.weight.detach().flatten(1).float()
        if self.group is None:
            return weight, None if self.conv.bias is None else self.conv.bias.float()
        samples = windows.double()  # a sum over many thousand frames needs the digits
        mean = samples.mean(0)
        samples = samples - mean
        covariance = samples.T @ samples / len(samples)
        return folded(weight, self.group, mean, covariance)


def moments(wave: Tensor, kernel: int, stride: int) -> tuple[Tensor, Tensor]:
    """Mean (kernel,) and covariance (kernel, kernel) of the samples of a long recording (N,) under a kernel.

    In double precision, which leaves digits enough to take the mean away afterwards, and with a part of the recording
    in it at a time.
    """
    windows = wave.unfold(0, kernel, stride)
    total = torch.zeros(kernel, dtype=torch.float64, device=wave.device)
    second = total.new_zeros(kernel, kernel)
    for part in windows.split(PART):
        samples = part.double()
        total += samples.sum(0)
        second += samples.T @ samples
    mean = total / len(windows)
    return mean, second / len(windows) - mean[:, None] * mean


def folded(weight: Tensor, group: nn.GroupNorm, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The first convolution with its group norm in it.

    Args:
        weight: Of the convolution, (C, kernel).
        group: The norm, one channel a group.
        mean: Of the samples under the kernel, (..., kernel), in double precision.
        covariance: Theirs, (..., kernel, kernel).

    Returns:
        Weight (..., C, kernel) and bias (..., C) in float32.
    """
    exact = weight.double()
    variance = ((exact @ covariance) * exact).sum(-1)
    scale = group.weight.double() * torch.rsqrt(variance + group.eps)
    # The convolution's own bias is part of the mean that the norm takes away.
    bias = group.bias.double() - (exact @ mean[..., None]).squeeze(-1) * scale
    return (exact * scale[..., None]).float(), bias.float()
