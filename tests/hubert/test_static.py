"""One recording, padded to a step: what the plain pass gives, with nothing in it that waits for a number."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from daisy.hubert import products
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.encoder import Hubert
from daisy.hubert.graphs import Compiled
from daisy.hubert.static import StaticPass

LARGE = {"layer_norm_front_end": True, "conv_bias": True, "pre_norm": True, "normalize": True}


@pytest.fixture(autouse=True)
def as_a_gpu_does():
    with torch.no_grad(), products.as_on_a_gpu():
        yield


@pytest.fixture(params=["base", "large"])
def model(request, checkpoint) -> Checkpoint:
    """A random model whose entropies differ by layer."""
    torch.manual_seed(0)
    config = dataclasses.replace(
        checkpoint.encoder.config, pos_kernel=32, **(LARGE if request.param == "large" else {})
    )
    branches = Branches(config.layers, 20, config.dim)
    branches.reset(torch.Generator().manual_seed(1))
    branches.weight *= torch.linspace(1, 12, config.layers)[:, None, None]
    encoder = Hubert(config).eval().requires_grad_(False)
    return dataclasses.replace(checkpoint, encoder=encoder, branches=branches.requires_grad_(False))


def test_as_the_plain_pass(model):
    plain = EarlyExitHubert(model)
    steps = StaticPass(model.encoder, model.branches, model.position, 8000)
    steps.wave.normal_()  # what an earlier recording left behind
    for samples in (8000, 7999, 7681, 5000, 1040, 719, 400):
        wave = 0.1 * torch.randn(samples) + 0.05
        (exact,) = plain.all_layers([wave])
        frames = steps.give(wave)
        steps.front_end()
        for k in range(1, plain.layers + 1):
            steps.layer(k)
            steps.check(k)
        found = steps.states[:, :frames]
        assert found.shape == exact.states.shape
        assert (found - exact.states).abs().max() < 2e-5 * exact.states.abs().max()
        np.testing.assert_allclose(steps.entropies.tolist(), exact.entropies, atol=1e-5)


class Launches(TorchDispatchMode):
    """Notes what torch is asked to do, and with which shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[torch.Size]]] = []

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        self.seen.append((str(call), [x.shape for x in args if isinstance(x, torch.Tensor)]))
        return call(*args, **(kwargs or {}))


WAITING = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "unique",
    "where.Scalar",
    "_pin_memory",
    "_to_copy.device",
)
"""What a GPU would be waited for, or what would bring something to it."""


def test_the_same_work_for_every_length_and_nothing_that_waits(model):
    config = model.encoder.config
    steps = StaticPass(model.encoder, model.branches, model.position, 8000)
    found = []
    for samples in (8000, 8000, 400):  # the first lays out weights
        steps.give(torch.randn(samples))
        with Launches() as launches:
            steps.front_end()
            for k in range(1, config.layers + 1):
                steps.layer(k)
                steps.check(k)
        found.append(launches.seen)
    assert found[1] == found[2]
    assert not [name for name, _ in found[1] if any(word in name for word in WAITING)]
    with Launches() as launches:
        steps.count.item()
    assert WAITING[0] in launches.seen[-1][0]


@pytest.mark.parametrize("ahead", [0, 1, 20])
def test_exits_are_those_of_the_plain_pass(model, ahead, waves):
    plain, compiled = EarlyExitHubert(model), Compiled(model, 8000, 2, ahead)
    entropies = np.array([plain.all_layers([wave])[0].entropies for wave in waves[:3]])
    ordered, layers = np.sort(entropies, axis=None), set()
    for place in (0, len(ordered) // 2, 3 * len(ordered) // 4):
        tau = float(ordered[place : place + 2].mean())
        for candidates in (range(1, plain.layers + 1), [2, 4], [3]):
            for wave in waves[:3]:
                (theirs,) = plain.run([wave], candidates=candidates, tau=tau)
                ours = compiled.run(wave, candidates=candidates, tau=tau)
                assert ours.layer == theirs.layer
                assert ours.states.shape == theirs.states.shape
                assert (ours.states - theirs.states).abs().max() < 2e-5 * theirs.states.abs().max()
                np.testing.assert_allclose(ours.entropies, theirs.entropies, atol=1e-5)
                layers.add(ours.layer)
    assert len(layers) > 2


def test_few_lengths_are_kept(model, waves):
    """The one that was used last longest ago goes first; another precision is another entry."""
    compiled = Compiled(model, 4000, 2, 1)
    for samples in (4000, 3999, 8000, 4000, 12_000, 4000):
        compiled.run(waves[0][:samples], candidates=[1], tau=0)
        assert len(compiled) <= 2
    assert [padded for padded, _ in compiled._known] == [12_000, 4000]
    first = compiled.run(waves[0][:4000], candidates=[1], tau=0).states
    kept = first.clone()
    compiled.run(waves[1][:4000], candidates=[1], tau=0)
    assert torch.equal(first, kept), "what was handed out is the caller's"
    with torch.autocast("cpu", torch.bfloat16):
        rough = compiled.run(waves[0][:4000], candidates=[1], tau=0).states
    assert len(compiled) == 2 and 1e-5 < (rough - first).abs().max() < 0.1 * first.abs().max()
    assert math.isfinite(float(rough.sum()))
