"""The physical limit: how long the operations of a pass would take at the rate of a plain matrix product."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from benchmarks.clock import Taken
from benchmarks.model import in_precision
from benchmarks.options import Options
from daisy.common.compute import Compute, Precision
from daisy.hubert.products import Product


def product(precision: str, way: str) -> str:
    """The name of a product's work."""
    return f"product {precision}, {way}"


def products(options: Options, precisions: tuple[Precision, ...] | None = None) -> dict[str, Callable[[], object]]:
    """Square products, by torch as it is, and with a weight laid out beforehand."""
    size = size_of(options)
    works: dict[str, Callable[[], object]] = {}
    for precision in precisions or options.precisions:
        kind = Compute(precision=precision).dtype
        one, other = (torch.randn(size, size, device=options.place, dtype=kind) * 0.01 for _ in range(2))
        works[product(precision, "torch")] = in_precision(
            options, precision, functools.partial(torch.matmul, one, other)
        )
        if options.device == "cpu":
            works[product(precision, "laid out")] = functools.partial(Product(other, None, other.dtype), one)
    return works


def size_of(options: Options) -> int:
    """Rows of a product: 2048, or more for a GPU; little for a model that only tests the benchmark."""
    if options.shape.dim < 128:
        return 128
    return 8192 if options.device == "cuda" else 2048


def add_limit(taken: Taken, name: str, precision: str, macs: int, options: Options) -> None:
    """Add the work `name`: the time of `macs` multiply-accumulates, in every round at the rate of its best product."""
    ways = [values for work, values in taken.items() if work.startswith(f"product {precision},")]
    share = macs / size_of(options) ** 3
    taken[name] = [share * min(times) for times in zip(*ways, strict=True)]
