"""Attention: torch's own, and one for a CPU with bfloat16, where torch's takes twice as long.

On a GPU never cuDNN's, which plans every shape anew (a tenth of a second). The frames of a batch stay packed there: the
kernels that torch's own attention is made of know utterances by their bounds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from daisy.hubert.products import as_a_whole, packs, precision

WIDEST = 256
"""The widest head of the kernels for packed frames, which also want a multiple of 8."""

UNPLANNED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""All of torch's kinds of attention but cuDNN's."""

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""Queries, keys and values (R, heads, width), the utterances' bounds (B + 1,) and the longest one's frames, to the
same as the queries."""

SCORES = 2**20
"""Scores of attention at once: 2 MiB."""

PAIRS = 2**22
"""Numbers of a bias at once, a row of queries at least: 16 MiB in float32."""

SAMPLE = 8
"""Of so many keys at most, one is asked for a row's largest score; of few keys more."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, T, heads, width) thrice to the same, by scaled dot products."""
    if mask is None and serves(q):
        return torch.stack([in_bfloat16(*one) for one in zip(q, k, v, strict=True)])
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    with sdpa_kernel(UNPLANNED) if q.is_cuda else contextlib.nullcontext():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def biased(q: Tensor, k: Tensor, v: Tensor, gate: Tensor, strip: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention whose scores get numbers by the distance of query and key, times the query's gate.

    Args:
        q: (B, T, heads, width).
        k: The same.
        v: The same.
        gate: (B, T, heads).
        strip: (heads, 2 L - 1), the numbers of distances from 1 - L to L - 1, L being T or more.
        mask: (B, 1, 1, T), true for keys that there are; all of them if not given.

    Returns:
        The same as the queries.
    """
    batch, time, heads, _ = q.shape
    middle = strip.shape[1] // 2
    rows = max(1, PAIRS // (batch * heads * time))
    parts = []
    for begin in range(0, time, rows):
        end = min(time, begin + rows)
        # From the last query to the first: there each one's numbers begin one place further on, and are not copied.
        numbers = strip[:, middle - end + 1 : middle + time - begin].unfold(1, time, 1)
        bias = (gate[:, begin:end].flip(1).transpose(1, 2)[..., None] * numbers).to(q.dtype)
        if mask is not None:
            bias.masked_fill_(~mask, float("-inf"))
        parts.append(attention(q[:, begin:end].flip(1), k, v, bias).flip(1))
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def packed_kernel(q: Tensor) -> Kernel | None:
    """What attends over packed frames with queries like these (R, heads, width); None where torch has nothing.

    Flash attention in bfloat16, which GPUs before Ampere lack, and torch's memory-efficient one in float32, which flash
    attention lacks. Before Ampere neither has a kernel for bfloat16.
    """
    width = q.shape[-1]
    if not q.is_cuda or precision(q) is None or width % 8 or width > WIDEST:
        return None
    if q.dtype == torch.bfloat16:
        ampere = torch.cuda.get_device_capability(q.device) >= (8, 0)
        return flash if ampere and has("_flash_attention_forward") else None
    return efficient if has("_efficient_attention_forward") else None


def has(name: str) -> bool:
    """Whether torch has an operation."""
    return hasattr(torch.ops.aten, name)


def flash(q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """What `torch.nn.attention.varlen.varlen_attn` calls, without what that costs at every call."""
    given = {"cum_seq_q": bounds, "cum_seq_k": bounds, "max_q": longest, "max_k": longest}
    options = {"dropout_p": 0.0, "is_causal": False, "return_debug_mask": False}
    return torch.ops.aten._flash_attention_forward(query=q, key=k, value=v, **given, **options)[0]


def efficient(q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """The memory-efficient kernel, which takes packed frames as a batch of one."""
    given = {"cu_seqlens_q": bounds, "cu_seqlens_k": bounds, "max_seqlen_q": longest, "max_seqlen_k": longest}
    options = {"bias": None, "dropout_p": 0.0, "custom_mask_type": 0}
    called = torch.ops.aten._efficient_attention_forward
    return called(query=q[None], key=k[None], value=v[None], **given, **options)[0][0]


def serves(q: Tensor) -> bool:
    """Whether `in_bfloat16` is faster than torch's with queries like these: with AMX, torch's packs its operands."""
    if as_a_whole(q.device):
        return False
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
