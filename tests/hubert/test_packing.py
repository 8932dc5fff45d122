"""Frames without padding, there and back; attention within an utterance; batches of little padding."""

from __future__ import annotations

import pytest
import torch

from daisy.common.batches import WASTE, batches
from daisy.hubert.attention import attention
from daisy.hubert.packing import Packing

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


@pytest.mark.parametrize("seed", range(20))
def test_batches_hold_everything_once_and_little_padding(seed):
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randint(4000, 300_000, (1 + 5 * seed,), generator=generator).tolist()
    found = batches(samples, 40)
    assert sorted(index for batch in found for index in batch) == list(range(len(samples)))
    for batch in found:
        lengths = [samples[index] for index in batch]
        padded = max(lengths) * len(lengths)
        assert len(batch) == 1 or padded <= 40 * 16_000
        assert padded - sum(lengths) <= WASTE * padded
