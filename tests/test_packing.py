"""Frames without padding: there and back, and attention that stays within an utterance."""

from __future__ import annotations

import pytest
import torch

from daisy.hubert.packing import Packing, attention

LENGTHS = ([5], [4, 4, 4], [3, 7, 1, 7])


@pytest.mark.parametrize("lengths", LENGTHS)
def test_there_and_back(lengths):
    packing = Packing(lengths, torch.device("cpu"))
    x = torch.randn(sum(lengths), 2)
    padded = packing.pad(x)
    assert padded.shape == (len(lengths), max(lengths), 2)
    assert torch.equal(packing.pack(padded), x)
    for row, part in zip(padded, packing.split(x), strict=True):
        assert torch.equal(row[: len(part)], part) and not row[len(part) :].any()
    assert [row.sum().item() for row in packing.mask] == lengths
    torch.testing.assert_close(packing.means(x[:, 0]), torch.stack([part[:, 0].mean() for part in packing.split(x)]))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_attention_is_the_same_padded_and_one_by_one(lengths):
    packing = Packing(lengths, torch.device("cpu"))
    q, k, v = torch.randn(3, sum(lengths), 4, 8)
    ours = packing.attention(q, k, v)
    padded = packing.pack(packing.attention_padded(q, k, v))
    torch.testing.assert_close(ours, padded)
    for part, *given in zip(*(packing.split(x) for x in (ours, q, k, v)), strict=True):
        torch.testing.assert_close(part, attention(*(x[None] for x in given))[0])
