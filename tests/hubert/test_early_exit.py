"""A batch gives every utterance what it gets alone, whatever its mates and wherever they stop."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from daisy.errors import DaisyError
from daisy.hubert.branches import Branches, frame_entropy
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.encoder import Hubert


def variant(base: Checkpoint, **changes) -> EarlyExitHubert:
    """A random model of another kind, with branches that stop different utterances at different layers."""
    torch.manual_seed(0)
    config = dataclasses.replace(base.encoder.config, **changes)
    encoder = Hubert(config).eval().requires_grad_(False)
    branches = Branches(config.layers, 20, config.dim)
    branches.reset(torch.Generator().manual_seed(1))
    branches.weight.data *= torch.linspace(1, 12, config.layers)[:, None, None]
    return EarlyExitHubert(dataclasses.replace(base, encoder=encoder, branches=branches.requires_grad_(False)))


KINDS = {
    "base": {},
    "large": {"pre_norm": True, "layer_norm_front_end": True, "conv_bias": True, "normalize": True},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", ["after-norm", "before-norm"])
def test_batch_equals_single(checkpoint, waves, kind, position):
    model = variant(dataclasses.replace(checkpoint, position=position), **KINDS[kind])
    every = tuple(range(1, model.layers + 1))
    entropies = np.array([model.all_layers([wave])[0].entropies for wave in waves])
    stopped = set()
    ordered = np.sort(entropies, axis=None)
    for place in (len(ordered) // 5, len(ordered) // 2, 4 * len(ordered) // 5):
        tau = ordered[place : place + 2].mean()  # between two entropies, where rounding decides nothing
        alone = [model.run([wave], candidates=every, tau=tau)[0] for wave in waves]
        stopped |= {item.layer for item in alone}
        compositions = [*itertools.combinations(range(len(waves)), 2), (5, 3, 1), tuple(range(len(waves)))]
        for chosen in compositions:
            together = model.run([waves[i] for i in chosen], candidates=every, tau=tau)
            for i, item in zip(chosen, together, strict=True):
                assert item.layer == alone[i].layer
                assert item.states.shape == alone[i].states.shape
                assert (item.states - alone[i].states).abs().max() < 1e-5
                np.testing.assert_allclose(item.entropies, alone[i].entropies, atol=1e-5)
    assert len(stopped) > 2, "the test must see exits at different layers"


@pytest.mark.parametrize("granularity", ["utterance", "batch"])
def test_an_entropy_at_the_threshold_exits(checkpoint, waves, granularity):
    model = EarlyExitHubert(checkpoint)
    tau = model.run(waves[:1], candidates=[2, 6], tau=-1.0)[0].entropies[1]
    layers = [
        model.run(waves[:1], candidates=[2, 6], tau=value, granularity=granularity)[0].layer
        for value in (tau, math.nextafter(tau, 0))
    ]
    assert layers == [2, 6]


def test_published_padding_differs_from_exact(checkpoint, waves):
    model = EarlyExitHubert(checkpoint)
    exact = model.run(waves, candidates=[6])
    published = model.run(waves, candidates=[6], padding="published")
    shortest = min(range(len(waves)), key=lambda i: len(waves[i]))
    frames = exact[shortest].states.shape[1]
    assert published[shortest].states.shape[1] >= frames
    assert (exact[shortest].states - published[shortest].states[:, :frames]).abs().max() > 1e-4


def test_all_layers_agrees_with_run(checkpoint, waves):
    model = EarlyExitHubert(checkpoint)
    full = model.all_layers(waves)
    run = model.run(waves, candidates=range(1, 7), tau=-1.0)
    for one, other in zip(full, run, strict=True):
        torch.testing.assert_close(one.states, other.states, rtol=0, atol=1e-5)
        np.testing.assert_allclose(one.entropies[:5], other.entropies[:5], atol=1e-6)
        assert math.isnan(other.entropies[5]), "the last candidate's branch need not be asked"


def test_fixed_layer_needs_no_branches(checkpoint, waves):
    model = EarlyExitHubert(dataclasses.replace(checkpoint, branches=None))
    (item,) = model.run(waves[:1], candidates=[3])
    assert item.layer == 3 and len(item.states) == 4
    with pytest.raises(ValueError, match="branches"):
        model.run(waves[:1], candidates=[3, 4])


@pytest.mark.parametrize("candidates", [[], [0, 1], [7]])
def test_wrong_candidates(checkpoint, waves, candidates):
    with pytest.raises(ValueError, match="candidates"):
        EarlyExitHubert(checkpoint).run(waves[:1], candidates=candidates)


def test_too_short_recording(checkpoint):
    with pytest.raises(DaisyError, match="400"):
        EarlyExitHubert(checkpoint).run([torch.zeros(399)], candidates=[1])


def test_entropy_of_certain_and_uniform_classes():
    logits = torch.tensor([[[0.0, float("-inf"), float("-inf")], [2.0, 2.0, 2.0]]])
    assert frame_entropy(logits)[0, 0] == 0
    assert frame_entropy(logits)[0, 1] == pytest.approx(math.log(3))
    certain = torch.tensor([[1e4, 0.0, -1e4]])
    assert torch.isfinite(frame_entropy(certain)).all()
