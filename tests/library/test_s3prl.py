"""The featurizer for s3prl, without s3prl: each utterance's states are weighed up to its own exit and no further."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import daisy
from daisy.downstream.fusion import LayerSum
from daisy.features.seen import seen
from daisy.features.settings import View
from daisy.hubert.checkpoint import save
from daisy.library.s3prl import DaisyFeaturizer, DaisyUpstream


@pytest.fixture
def path(checkpoint, tmp_path):
    save(tmp_path / "daisy.safetensors", checkpoint, "safetensors")
    return tmp_path / "daisy.safetensors"


@pytest.fixture
def mixed(path, waves) -> dict[str, float]:
    """A way of stopping by which the utterances of a batch exit at several layers."""
    entropies = torch.tensor(daisy.load(path).all_layers(waves).entropies)
    return {"threshold": entropies[:, 2].median().item()}


def spread(scalars: nn.Parameter) -> None:
    """Give the scalars values that tell the layers apart."""
    with torch.no_grad():
        scalars.copy_(torch.randn(scalars.shape, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("kind", ["dynamic", "dynamic-s"])
def test_mixed_exits_as_downstream_models_see_them(path, waves, mixed, kind):
    upstream = DaisyUpstream(path, **mixed)
    featurizer = DaisyFeaturizer(upstream, kind)
    spread(featurizer.fusion.scalars)
    fusion = LayerSum(upstream.model.layers, kind)
    fusion.load_state_dict(featurizer.fusion.state_dict())
    out = upstream.model(waves, **mixed)
    assert len(set(out.exit_layer)) > 1
    given = featurizer(waves, upstream(waves))
    for features, states, k in zip(given, out.features, out.exit_layer, strict=True):
        expected = fusion(seen(View("after-norm"), states)[None], torch.tensor([k]))[0]
        assert features.shape == expected.shape == (states.shape[1], featurizer.output_dim)
        assert torch.allclose(features, expected, atol=1e-5)


def test_nothing_behind_an_exit_or_an_end_counts(path, waves, mixed):
    upstream = DaisyUpstream(path, **mixed)
    featurizer = DaisyFeaturizer(upstream)
    spread(featurizer.fusion.scalars)
    result = upstream(waves)
    expected = featurizer(waves, result)
    hidden = torch.stack(result["hidden_states"])
    for row, (wave, k) in enumerate(zip(waves, result["exit_layer"], strict=True)):
        hidden[k + 1 :, row] = 3.0 + torch.arange(hidden.shape[-1])
        hidden[:, row, upstream.model.config.frames(len(wave)) :] = torch.arange(hidden.shape[-1]) - 3.0
    given = featurizer(waves, {**result, "hidden_states": list(hidden)})
    assert all(torch.equal(one, other) for one, other in zip(given, expected, strict=True))


@pytest.mark.parametrize("kind", ["dynamic", "dynamic-s"])
def test_scalars_learn_up_to_the_exit(path, waves, kind):
    upstream = DaisyUpstream(path, layer=3)
    featurizer = DaisyFeaturizer(upstream, kind)
    torch.cat(featurizer(waves, upstream(waves))).square().sum().backward()
    gradient = featurizer.fusion.scalars.grad
    row = gradient[2] if kind == "dynamic-s" else gradient
    assert row[:4].all() and not row[4:].any()
    assert gradient.count_nonzero() == 4


def test_without_early_exit_it_is_s3prls_normalised_sum(path, waves):
    upstream = DaisyUpstream(path)
    featurizer = DaisyFeaturizer(upstream)
    spread(featurizer.fusion.scalars)
    result = upstream(waves)
    # s3prl's Featurizer, normalize=True: norm over D, softmax over all, cut to round(N / rate) frames.
    stacked = torch.stack(result["hidden_states"])
    centred = stacked - stacked.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    weights = [math.exp(value) for value in featurizer.weights.tolist()]
    summed = sum(weight / sum(weights) * states for weight, states in zip(weights, normed, strict=True))
    for features, theirs, wave in zip(featurizer(waves, result), summed, waves, strict=True):
        cut = theirs[: round(len(wave) / featurizer.downsample_rate)]
        assert 0 <= len(cut) - len(features) <= 1  # s3prl keeps a frame of padding where rounding says so
        assert torch.allclose(features, cut[: len(features)], atol=1e-5)


@pytest.mark.parametrize("kind", ["dynamic", "dynamic-s"])
def test_what_s3prls_runner_reads(path, kind):
    upstream = DaisyUpstream(path)
    featurizer = DaisyFeaturizer(upstream, kind)
    assert featurizer.output_dim == upstream.model.dim
    assert featurizer.downsample_rate == upstream.model.config.hop
    assert [float(weight) for weight in featurizer.weights] == [0.0] * (upstream.model.layers + 1)
    assert featurizer.state_dict().keys() == {"fusion.scalars"}
