"""Attention: torch's own, and one for a CPU with bfloat16, where torch's takes twice as long."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from daisy.hubert.products import packs, precision

SCORES = 2**20
"""Scores of attention at once: 2 MiB."""

SAMPLE = 8
"""Of so many keys at most, one is asked for a row's largest score; of few keys more."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, T, heads, width) thrice to the same, by scaled dot products."""
    if mask is None and serves(q):
        return torch.stack([in_bfloat16(*one) for one in zip(q, k, v, strict=True)])
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def serves(q: Tensor) -> bool:
    """Whether `in_bfloat16` is faster than torch's with queries like these: with AMX, torch's packs its operands."""
    amx = torch.cpu.get_capabilities().get("amx_bf16", False)
    return precision(q) == q.dtype == torch.bfloat16 and packs(q.dtype) and not amx


def in_bfloat16(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One utterance's attention by scaled dot products in bfloat16, its scores rounded where it does not hurt.

    A softmax does not change when a row's scores all move by the same. Here they are less (nearly) the row's largest,
    which goes into the product that makes them as one more column: those that count then are near zero, where bfloat16
    is fine, and float32 is not needed. The largest score of every eighth key is near enough.

    Args:
        q: (T, heads, width).
        k: The same.
        v: The same.

    Returns:
        The same.
    """
    time, heads, width = q.shape
    queries, keys = (x.new_zeros(heads, time, width + 2) for x in (q, k))  # an even number of columns
    torch.mul(q.transpose(0, 1), width**-0.5, out=queries[..., :width])
    keys[..., :width] = k.transpose(0, 1)
    some = torch.bmm(keys[:, :: max(1, min(SAMPLE, time // 32)), :width], queries[..., :width].transpose(1, 2))
    queries[..., width] = -some.amax(1)
    keys[..., width] = 1
    keys, v = keys.transpose(1, 2), v.transpose(0, 1)
    out = torch.empty_like(q)
    group = max(1, min(heads, SCORES // time**2))
    rows = min(time, max(1, SCORES // time))
    kept = q.new_empty(group, rows, time)
    for head in range(0, heads, group):
        some_heads = slice(head, head + group)
        for row in range(0, time, rows):
            some_rows = slice(row, row + rows)
            asked = queries[some_heads, some_rows]
            scores = kept[: asked.shape[0], : asked.shape[1]]
            torch.bmm(asked, keys[some_heads], out=scores)
            torch.softmax(scores, -1, out=scores)
            out[some_rows, some_heads] = torch.bmm(scores, v[some_heads]).transpose(0, 1)
    return out
