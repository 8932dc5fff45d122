"""HuBERT's products on a CPU: the same sums as torch's modules, laid out for speed, in float32 or bfloat16.

One recording at a time and channels last, so that a product's rows are frames where they lie in memory, nothing is
padded, and an utterance gets what it gets alone. Five savings, all exact but for rounding:

- Frames pass the first two convolutions, the costliest, in stretches that stay in the processor's cache. That needs the
  first group norm's statistics beforehand: its convolution is linear, so they follow from the mean and the covariance
  of the samples under the kernel.
- In float32, a convolution of kernel 3 and stride 2 is one tap on odd frames and two on even ones. Of those two,
  minimal filtering (Winograd, 1980: F(2, 2)) makes two outputs with three products in place of four.
- All products are oneDNN's, which knows more processors than torch's default, and weights lie in its own layout, as
  torch's compiler has them. GELU is applied while a product's result is in the cache.
- The positional convolution, 128 taps long, is a product per frequency (overlap-save).
- In bfloat16 weights are rounded once, not at every call; the samples, the norms, the sums of the residual branches and
  the positional convolution stay in float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = TypeVar("T")

# oneDNN keeps code for every number of rows that it has met, 1,024 of them unless told, and torch's bridge as many. A
# pass needs some thirty, and no two recordings have the same length: memory would grow with the data. Read when first
# used.
for _name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_name, "128")

STRETCH = 512
"""Output frames at once for each core: 512 of 512 channels are 1 MiB, half of what its second cache often holds."""

STEP = 64
"""The last stretch has a multiple of so many frames, the first of them computed twice: code for it is then known."""

BLOCK = 256
"""Frames of a block of the positional convolution, of which those but the kernel's length are new."""


def precision(weight: Tensor) -> torch.dtype | None:
    """The precision in which these routines stand in for torch's with this weight; None where they do not.

    That of the weight, or bfloat16 under torch's autocast. They let no gradient through.
    """
    kinds = (torch.float32, torch.bfloat16)
    if weight.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype
    return kind if kind in kinds and weight.dtype in kinds else None


class Keeper:
    """A part of a module that keeps what it laid out of its weights until they change."""

    _kept: Mapping[torch.dtype, tuple[list[tuple[Tensor, int]], object]] = {}

    def kept(self, weights: Sequence[Tensor], kind: torch.dtype, lay_out: Callable[[], T]) -> T:
        """What `lay_out` made of `weights` for a precision; made again when one is another, or was written to."""
        state = [(weight.detach(), -1 if weight.is_inference() else weight._version) for weight in weights]
        known = self._kept.get(kind)
        if known is None or [*map(_place, known[0])] != [*map(_place, state)]:
            known = state, lay_out()  # the weights are held, so that no others can come to lie in their place
            self._kept = {**self._kept, kind: known}
        return cast("T", known[1])

    def _apply(self, *arguments: Any, **options: Any) -> Any:  # what `to` and its kin call
        self._kept = {}
        return super()._apply(*arguments, **options)  # type: ignore[misc]

    def __getstate__(self) -> dict[str, Any]:  # copies and pickles make their own
        return {**self.__dict__, "_kept": {}}


def _place(state: tuple[Tensor, int]) -> tuple[int, int]:
    weight, version = state
    return weight.data_ptr(), version


class Product:
    """x W' + b with a weight laid out once.

    Args:
        weight: W, (outputs, inputs).
        bias: b, (outputs,).
        kind: The precision.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, kind: torch.dtype) -> None:
        self.kind = kind
        self.weight = weight.detach().to(kind).contiguous()
        self.bias = None if bias is None else bias.detach().to(kind)
        self._packed = packs(kind)
        if self._packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:
        """(R, inputs) to (R, outputs), through GELU if wanted."""
        x = x.to(self.kind)
        if self._packed:
            return _product(x, self.weight, self.bias, gelu)
        with torch.autocast("cpu", enabled=False):
            y = F.linear(x, self.weight, self.bias)
        return F.gelu(y) if gelu else y


def packs(kind: torch.dtype) -> bool:
    """Whether torch has the products that its own compiler uses, and this processor has them in this precision."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return kind == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def trains(weight: Tensor) -> bool:
    """Whether `Trained` stands in for torch's own products with these weights: on a CPU in float32."""
    with torch.no_grad():
        return precision(weight) == weight.dtype == torch.float32 and packs(weight.dtype)


class Trained(torch.autograd.Function):
    """x W' + b for several x, W and b at once, in float32; weights and biases learn, and x does not.

    Takes x (K, R, inputs), W (K, outputs, inputs) and b (K, outputs), and gives (K, R, outputs).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """All products."""
        ctx.save_for_backward(x)
        return torch.stack([_product(*part) for part in zip(x, weight, bias, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        """Gradients of weights and biases."""
        (x,), (gradient,) = ctx.saved_tensors, gradients
        # Copies, since oneDNN has slow code alone for a turned matrix.
        pairs = ((one.T.contiguous(), other.T.contiguous()) for one, other in zip(gradient, x, strict=True))
        return None, torch.stack([_product(*pair, None) for pair in pairs]), gradient.sum(1)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    name, algorithm = ("gelu", "none") if gelu else ("none", "")
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], algorithm)


class Linear(Keeper, nn.Linear):
    """A linear layer that keeps its product, and may apply GELU on the way."""

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        kind = precision(self.weight)
        if kind is None:
            y = F.linear(x, self.weight, self.bias)
            return F.gelu(y) if gelu else y
        product = self.kept([self.weight, self.bias], kind, lambda: Product(self.weight, self.bias, kind))
        return product(x.flatten(0, -2), gelu).unflatten(0, x.shape[:-1])


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
        exact = weight.double()
        variance = ((exact @ covariance) * exact).sum(1)
        scale = self.group.weight.double() * torch.rsqrt(variance + self.group.eps)
        # The convolution's own bias is part of the mean that the norm takes away.
        bias = self.group.bias.double() - (exact @ mean) * scale
        return (exact * scale[:, None]).float(), bias.float()


class Positional:
    """The positional convolution by overlap-save, for one utterance, in float32."""

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
