"""Calls with one recording by `model.compile()`: CUDA graphs, exits that are still taken, memory that stays bounded."""

from __future__ import annotations

import pytest
import torch
from pieces import CLOSE, GOLDEN, branched
from torch import Tensor

from daisy.common import audio
from daisy.library.model import Daisy

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture
def model(device: str) -> Daisy:
    """The embedded model with branches that are sure of some recordings earlier than of others."""
    return Daisy(branched().to(torch.device(device)))


@pytest.fixture(scope="module")
def waves() -> list[Tensor]:
    """Speech of several lengths."""
    short = [audio.read(path) for path in sorted(GOLDEN.glob("*.wav"))]
    return [*short, torch.cat(short)[:200_000]]


def test_recorded_passes_give_what_others_give(device: str, model: Daisy, waves: list[Tensor]) -> None:
    """Twice each: graphs that share memory are played after others were recorded."""
    layers, place = range(1, model.layers + 1), torch.device(device)
    here = [wave.to(place) for wave in waves]
    middles = [sorted(values)[len(values) // 2] + 0.01 for values in model.all_layers(here).entropies]
    asked = [*((layers, tau) for tau in (*middles, -1.0)), ([6], 0.0), ([3, 9, 12], middles[0])]
    plain = [[model.run([wave], candidates, tau) for candidates, tau in asked] for wave in here]
    model.compile(lengths=len(waves))
    for _ in range(2):
        for wave, wanted in zip(here, plain, strict=True):
            for (candidates, tau), one in zip(asked, wanted, strict=True):
                other = model.run([wave], candidates, tau)
                assert one.exit_layer == other.exit_layer
                for own, its in zip(one.features, other.features, strict=True):
                    assert float((own - its).abs().max()) < CLOSE * float(own.abs().max())
                told = [torch.tensor(result.entropies) for result in (one, other)]
                torch.testing.assert_close(*told, atol=1e-4, rtol=1e-4, equal_nan=True)


@pytest.mark.only_gpu
def test_lengths_share_memory(model: Daisy) -> None:
    """Twenty lengths, of which two are kept, take little more than the longest by itself."""
    model.compile(lengths=2)
    noise = 0.1 * torch.randn(200_000, generator=torch.Generator().manual_seed(0)).cuda()
    model.run([noise], [model.layers], 0.0)
    torch.cuda.empty_cache()
    first = torch.cuda.memory_reserved()
    for count in range(10_000, 200_000, 10_000):
        model.run([noise[:count]], [model.layers], 0.0)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < first + 2**28


@pytest.mark.only_gpu
def test_a_candidate_that_is_no_layer_is_refused(model: Daisy, waves: list[Tensor]) -> None:
    model.compile()
    with pytest.raises(ValueError, match="are not layers"):
        model.run([waves[0].cuda()], [model.layers + 1], 0.0)
