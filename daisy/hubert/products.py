"""HuBERT's convolutions on a CPU in float32: the same sums, from fewer and larger matrix products.

One recording at a time and channels last, so that a product's rows are frames where they lie in memory, nothing is
padded, and an utterance gets what it gets alone. Four savings, all exact but for rounding:

- Frames pass the first two convolutions, the costliest, in stretches that stay in the processor's cache. That needs the
  first group norm's statistics beforehand: its convolution is linear, so they follow from the mean and the covariance
  of the samples under the kernel.
- A convolution of kernel 3 and stride 2 is one tap on odd frames and two on even ones. Of those two, minimal filtering
  (Winograd, 1980: F(2, 2)) makes two outputs with three products in place of four.
- Linear layers keep their weight in oneDNN's own layout, as torch's compiler does.
- The positional convolution, 128 taps long, is a product per frequency (overlap-save).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = TypeVar("T")

STRETCH = 512
"""Output frames at once: 512 of 512 channels are 1 MiB, half of what a core's second cache often holds."""

BLOCK = 256
"""Frames of a block of the positional convolution, of which those but the kernel's length are new."""


def serves(weight: Tensor) -> bool:
    """Whether these routines may stand in for torch's with this weight; they let no gradient through."""
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not torch.is_grad_enabled()
    return plain and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


class Keeper:
    """A part of a module that keeps what it laid out of its weights until they change."""

    _kept: tuple[list[tuple[Tensor, int]], object] | None = None

    def kept(self, weights: Sequence[Tensor], lay_out: Callable[[], T]) -> T:
        """What `lay_out` made of `weights`; made again when one of them is another, or was written to."""
        state = [(weight.detach(), -1 if weight.is_inference() else weight._version) for weight in weights]
        if self._kept is None or [_place(item) for item in self._kept[0]] != [_place(item) for item in state]:
            self._kept = state, lay_out()  # the weights are held, so that no others can come to lie in their place
        return cast("T", self._kept[1])

    def _apply(self, *arguments: Any, **options: Any) -> Any:  # what `to` and its kin call
        self._kept = None
        return super()._apply(*arguments, **options)  # type: ignore[misc]

    def __getstate__(self) -> dict[str, Any]:  # copies and pickles make their own
        return {**self.__dict__, "_kept": None}


def _place(state: tuple[Tensor, int]) -> tuple[int, int]:
    weight, version = state
    return weight.data_ptr(), version


class Linear(Keeper, nn.Linear):
    """A linear layer whose weight lies as oneDNN's products want it, and which may apply GELU on the way."""

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        if not (serves(self.weight) and _PACKED):
            y = F.linear(x, self.weight, self.bias)
            return F.gelu(y) if gelu else y
        weight = self.kept([self.weight], lambda: torch.ops.mkldnn._reorder_linear_weight(self.weight.detach()))
        rows = x.reshape(-1, self.in_features)
        y = torch.ops.mkldnn._linear_pointwise(rows, weight, self.bias, *(("gelu", [], "none") if gelu else _ALONE))
        return y.view(*x.shape[:-1], self.out_features)


_ALONE: tuple[str, list[float], str] = ("none", [], "")
_PACKED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether torch has the products that its own compiler uses."""


class Convolution:
    """One convolution over time with what follows it, its weights laid out for products.

    Args:
        conv: The convolution.
        norm: Layer norm of every frame, if any.
    """

    def __init__(self, conv: nn.Conv1d, norm: nn.LayerNorm | None) -> None:
        (self.kernel,), (self.stride,) = conv.kernel_size, conv.stride
        self.bias, self.norm = conv.bias, norm
        taps = conv.weight.detach().permute(2, 1, 0)
        self.width = conv.out_channels
        self.filtered = (self.kernel, self.stride) == (3, 2)
        if self.filtered:
            self.parts = tuple(tap.contiguous() for tap in (*taps, taps[0] + taps[2]))
        else:
            self.parts = (taps.reshape(-1, self.width).contiguous(),)

    def frames(self, count: int) -> int:
        """How many frames come out of `count`."""
        return (count - self.kernel) // self.stride + 1

    def stretches(self, count: int) -> Iterator[tuple[slice, slice]]:
        """Pairs of stretches, of the frames that go in and of those that come out."""
        total = self.frames(count)
        for begin in range(0, total, STRETCH):
            end = min(total, begin + STRETCH)
            yield slice(begin * self.stride, (end - 1) * self.stride + self.kernel), slice(begin, end)

    def __call__(self, x: Tensor) -> Tensor:
        """(T, C) to (T', C'), normed and activated."""
        return self.finish(self._filter(x) if self.filtered else self._product(x))

    def finish(self, y: Tensor) -> Tensor:
        """What follows the sums."""
        if self.bias is not None:
            y += self.bias
        if self.norm is not None:
            y = self.norm(y)
        return F.gelu(y)

    def _product(self, x: Tensor) -> Tensor:
        count = self.frames(len(x))
        if self.kernel == self.stride:
            return x[: count * self.kernel].reshape(count, -1) @ self.parts[0]
        return x.unfold(0, self.kernel, self.stride).transpose(1, 2).reshape(count, -1) @ self.parts[0]

    def _filter(self, x: Tensor) -> Tensor:
        first, middle, last, both = self.parts
        count = self.frames(len(x))
        even, pairs = x[::2], count // 2
        y = x[1 : 2 * count : 2] @ middle
        one, two = y[0 : 2 * pairs : 2], y[1 : 2 * pairs : 2]
        left, centre, right = (even[place : place + 2 * pairs - 1 : 2] for place in range(3))
        shared = centre @ both
        # In place and on every second row: a product can add to those, and nothing is copied.
        torch.addmm(one.add_(shared), left - centre, first, out=one)
        torch.addmm(two.add_(shared), right - centre, last, out=two)
        if count % 2:
            y[-1] += even[count - 1] @ first + even[count] @ last
        return y


class FrontEnd:
    """The whole convolutional front end, for one recording at a time."""

    def __init__(self, layers: list[tuple[nn.Conv1d, nn.GroupNorm | nn.LayerNorm | None]]) -> None:
        (self.conv, norm), *rest = layers
        self.group = norm if isinstance(norm, nn.GroupNorm) else None
        self.first = Convolution(self.conv, norm if isinstance(norm, nn.LayerNorm) else None)
        self.rest = [Convolution(conv, norm if isinstance(norm, nn.LayerNorm) else None) for conv, norm in rest]

    def __call__(self, wave: Tensor) -> Tensor:
        """(N,) to (T, C)."""
        windows = wave.unfold(0, self.first.kernel, self.first.stride)
        weight, bias = self._normed(windows)

        def frames(part: slice) -> Tensor:
            y = F.linear(windows[part], weight, bias)
            return F.gelu(y) if self.first.norm is None else F.gelu(self.first.norm(y))

        given: Callable[[slice], Tensor] = frames
        count = len(windows)
        for layer in self.rest:
            y = wave.new_empty(layer.frames(count), layer.width)
            for inside, outside in layer.stretches(count):
                y[outside] = layer(given(inside))
            given, count = y.__getitem__, len(y)
        return given(slice(None))

    def _normed(self, windows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the first convolution with its group norm in them."""
        weight = self.conv.weight.detach().flatten(1)
        if self.group is None:
            return weight, self.conv.bias
        samples = windows.double()  # a sum over many thousand frames needs the digits
        mean = samples.mean(0)
        samples = samples - mean
        covariance = samples.T @ samples / len(samples)
        exact = weight.double()
        variance = ((exact @ covariance) * exact).sum(1)
        scale = self.group.weight.double() * torch.rsqrt(variance + self.group.eps)
        # The convolution's own bias is part of the mean that the norm takes away.
        bias = self.group.bias.double() - (exact @ mean) * scale
        return (exact * scale[:, None]).float(), bias.float()


class Positional:
    """The positional convolution by overlap-save, for a batch."""

    def __init__(self, conv: nn.Conv1d) -> None:
        (self.kernel,), (self.padding,) = conv.kernel_size, cast("tuple[int]", conv.padding)
        self.groups, self.bias = conv.groups, conv.bias
        self.size = max(BLOCK, 2 * self.kernel)
        # torch's convolution is a correlation; as a convolution its kernel is turned round.
        turned = conv.weight.detach().flip(-1).view(self.groups, -1, *conv.weight.shape[1:])
        self.weight = torch.fft.rfft(turned, self.size).permute(3, 0, 1, 2).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        batch, time, dim = x.shape
        step = self.size - self.kernel + 1
        blocks = -(-time // step)
        padded = F.pad(x.transpose(1, 2), (self.padding, blocks * step + self.kernel - 1 - time - self.padding))
        pieces = torch.fft.rfft(padded.unfold(2, self.size, step))  # (B, D, blocks, frequencies)
        pieces = pieces.view(batch, self.groups, dim // self.groups, blocks, -1).permute(4, 1, 2, 0, 3).flatten(3)
        made = (self.weight @ pieces).permute(1, 2, 3, 0).reshape(dim, batch, blocks, -1)
        y = torch.fft.irfft(made, self.size)[..., self.kernel - 1 :].reshape(dim, batch, -1)[..., :time]
        y = y.permute(1, 2, 0)
        return y if self.bias is None else y + self.bias
