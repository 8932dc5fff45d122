"""Attention in bfloat16 gives what torch's gives, however large the scores are."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from daisy.hubert import attention as module


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention by torch in the inputs' precision: (T, heads, width) thrice to the same."""
    q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(0, 1)


@pytest.mark.parametrize("time", [1, 2, 7, 64, 301])
@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("common", [0, 4])
@pytest.mark.parametrize("scores", [module.SCORES, 1000])
def test_attention_in_bfloat16(time, width, common, scores, monkeypatch):
    """As near to the exact result as torch's own, which keeps scores in float32, however large they are."""
    monkeypatch.setattr(module, "SCORES", scores)
    q, k, v = (torch.randn(time, 3, width) for _ in range(3))
    q, k = ((x.cumsum(0) / time**0.5 + common).bfloat16() for x in (q, k))  # neighbours are alike, as in speech
    exact = attended(q.double(), k.double(), v.bfloat16().double())
    errors = [
        (way(q, k, v.bfloat16()).double() - exact).square().mean().sqrt() for way in (module.in_bfloat16, attended)
    ]
    # Rounding of queries that are not scaled by a power of two comes on top.
    assert errors[0] <= (2 if width == 64 else 4) * errors[1]


def test_where_attention_serves(monkeypatch):
    """In bfloat16, without gradients, and where torch's own is not as good."""
    q = torch.randn(5, 2, 8).bfloat16()
    monkeypatch.setattr(module, "packs", lambda kind: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert module.serves(q) and not module.serves(q.float())
    with torch.enable_grad():
        assert not module.serves(q)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert not module.serves(q)
