"""HuBERT's products: the same sums as torch's modules, laid out for speed, in float32 or bfloat16, with no gradient.

On every device HuBERT is matrix products. What differs is what a processor is quick at, so that there are two ways:

- On a CPU recordings pass one by one, in stretches that stay in the processor's cache (`daisy.hubert.front_end`,
  `daisy.hubert.positional.Positional`), and an utterance gets what it gets alone.
- On a GPU a batch passes as a whole, one recording below the other, in few large products that need no plan for a new
  shape (`daisy.hubert.packed_front_end`, `daisy.hubert.positional.Banded`, `daisy.hubert.attention`).

Savings of both: weights are laid out once, and in bfloat16 rounded once, not at every call; the samples, the norms and
the sums of the residual branches stay in float32. On a CPU all products are oneDNN's, which knows more processors than
torch's default, weights lie in its own layout, as torch's compiler has them, and GELU is applied while a product's
result is in the cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

T = TypeVar("T")

# oneDNN keeps code for every number of rows that it has met, 1,024 of them unless told, and torch's bridge as many. A
# pass needs some thirty, and no two recordings have the same length: memory would grow with the data. Read when first
# used.
for _name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_name, "128")

_ways = {"cpu": "one by one", "cuda": "as a whole"}
_steps = 0


def precision(weight: Tensor) -> torch.dtype | None:
    """The precision in which these routines stand in for torch's with this weight; None where they do not.

    That of the weight, or bfloat16 under torch's autocast, on a CPU and on a GPU (`as_a_whole` says in which way). They
    let no gradient through.
    """
    device, kinds = weight.device.type, (torch.float32, torch.bfloat16)
    if device not in _ways or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    return kind if kind in kinds and weight.dtype in kinds else None


def as_a_whole(device: torch.device) -> bool:
    """Whether these routines pass a batch as a whole on a device, as on a GPU, and not recording by recording."""
    return _ways.get(device.type) == "as a whole"


@contextlib.contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Let a CPU, too, pass batches as a whole: slower there, and the same but for rounding; for tests and traces."""
    before = _ways["cpu"]
    _ways["cpu"] = "as a whole"
    try:
        yield
    finally:
        _ways["cpu"] = before


def _note_step(*_: Any) -> None:
    global _steps
    _steps += 1


# torch's fused optimizers leave no mark on the weights that they change.
register_optimizer_step_post_hook(_note_step)


class Keeper:
    """A part of a module that keeps what it laid out of its weights until they change.

    Changes are seen by where a weight lies, by torch's count of what was written to it, and, if it learns, by the steps
    that any optimizer took. What is written through `weight.data` leaves no mark: write to the weight under `no_grad`.
    """

    _kept: Mapping[tuple[torch.dtype, bool], tuple[list[Tensor], list[tuple[int, int, int]], object]] = {}

    def kept(self, weights: Sequence[Tensor], kind: torch.dtype, lay_out: Callable[[], T]) -> T:
        """What `lay_out` made of `weights` for a precision; made again when one is another, or was written to."""
        use, marks = (kind, as_a_whole(weights[0].device)), [_mark(weight) for weight in weights]
        known = self._kept.get(use)
        if known is None or known[1] != marks:
            held = [weight.detach() for weight in weights]  # so that no others can come to lie in their place
            known = held, marks, lay_out()
            self._kept = {**self._kept, use: known}
        return cast("T", known[2])

    def _apply(self, *arguments: Any, **options: Any) -> Any:  # what `to` and its kin call
        self._kept = {}
        return super()._apply(*arguments, **options)  # type: ignore[misc]

    def __getstate__(self) -> dict[str, Any]:  # copies and pickles make their own
        return {**self.__dict__, "_kept": {}}


def _mark(weight: Tensor) -> tuple[int, int, int]:
    version = -1 if weight.is_inference() else weight._version
    return weight.data_ptr(), version, _steps if weight.requires_grad else -1


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
        self._packed = weight.device.type == "cpu" and not as_a_whole(weight.device) and packs(kind)
        if self._packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:
        """(R, inputs) to (R, outputs), through GELU if wanted."""
        x = x.to(self.kind)
        if self._packed:
            return _product(x, self.weight, self.bias, gelu)
        with exactly(x):
            y = F.linear(x, self.weight, self.bias)
        return torch.ops.aten.gelu_(y) if gelu else y


def exactly(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """A context in which torch computes with tensors like x in their own precision, whatever autocast says."""
    device = x.device.type
    idle = not torch.is_autocast_enabled(device) or torch.get_autocast_dtype(device) == x.dtype
    return contextlib.nullcontext() if idle else torch.autocast(device, enabled=False)  # which takes microseconds


def packs(kind: torch.dtype) -> bool:
    """Whether torch has the products that its own compiler uses, and this processor has them in this precision."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return kind == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def trains(weight: Tensor) -> bool:
    """Whether `Trained` stands in for torch's own products with these weights: on a CPU in float32."""
    with torch.no_grad():
        float32 = precision(weight) == weight.dtype == torch.float32
    return float32 and weight.device.type == "cpu" and packs(weight.dtype)


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
