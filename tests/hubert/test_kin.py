"""HuBERT's kin: WavLM's distances, data2vec's positional convolutions, DistilHuBERT, against a plain restatement."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from models import assert_as_near_as_torch, assert_same, drawn, settings_of
from torch import Tensor
from torch.nn import functional as F

from daisy.errors import DaisyError
from daisy.hubert import attention, products
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint, load, save, state_dict
from daisy.hubert.config import HubertConfig, from_fairseq
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import every_layer
from daisy.hubert.relative import bucket
from daisy.hubert.shape import shape_of
from daisy.hubert.static import StaticPass

FRONT_END = ((8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2)
LARGE = {"layer_norm_front_end": True, "pre_norm": True, "normalize": True}
SHAPES = {
    "WavLM Base": {"buckets": 20, "furthest": 15},
    "WavLM Large": {**LARGE, "buckets": 320},
    "data2vec": {"layer_norm_front_end": True, "normalize": True, "pos_depth": 5, "pos_kernel": 19},
    "DistilHuBERT": {"feature_norm": False},
    "both, of an even kernel": {"buckets": 8, "furthest": 5, "pos_depth": 2, "pos_kernel": 4},
}
SAMPLES = (16_000, 9000, 5000)


@pytest.fixture(scope="module", params=SHAPES)
def encoder(request) -> Hubert:
    sizes = {"dim": 16, "ffn_dim": 16, "heads": 2, "layers": 2, "pos_kernel": 16, "pos_groups": 4}
    made = drawn(HubertConfig(**{"conv_layers": FRONT_END, **sizes, **SHAPES[request.param]}))
    for layer in made.encoder.layers if made.config.buckets else ():
        layer.self_attn.grep_a += torch.randn(1, 2, 1, 1)
        layer.self_attn.grep_linear.weight *= 3
    return made


@pytest.fixture(scope="module")
def waves() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(count, generator=generator) for count in SAMPLES]


@torch.no_grad()
def restated(encoder: Hubert, wave: Tensor) -> Tensor:
    """(K + 1, T, D): the convolutions by the encoder, and the rest by the papers' formulas, pair of frames by pair."""
    config, transformer = encoder.config, encoder.encoder
    given = F.layer_norm(wave, wave.shape) if config.normalize else wave
    features = encoder.feature_extractor(given[None])[0]
    if config.feature_norm:
        centred = features - features.mean(1, keepdim=True)
        scale = (features.var(1, keepdim=True, correction=0) + config.norm_eps).sqrt()
        features = centred / scale * encoder.layer_norm.weight + encoder.layer_norm.bias
    states = features @ encoder.post_extract_proj.weight.T + encoder.post_extract_proj.bias
    positions = states
    for conv in transformer.pos_conv.convs:
        even = config.pos_kernel % 2 == 0
        padded = F.pad(positions.T, (config.pos_kernel // 2, config.pos_kernel // 2 - even))
        positions = F.conv1d(padded, conv.weight, conv.bias, groups=config.pos_groups).T
        if config.pos_depth > 1:
            centred = positions - positions.mean(1, keepdim=True)
            positions = centred / (positions.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
        positions = F.gelu(positions)
    x = states + positions
    found = [states]
    x = x if config.pre_norm else transformer.layer_norm(x)
    for layer in transformer.layers:
        attend, norm, last = layer.self_attn, layer.self_attn_layer_norm, layer.final_layer_norm
        if config.pre_norm:
            x = x + attended(encoder, attend, norm(x))
            x = x + layer.fc2(F.gelu(layer.fc1(last(x))))
        else:
            x = norm(x + attended(encoder, attend, x))
            x = last(x + layer.fc2(F.gelu(layer.fc1(x))))
        found.append(x)
    return torch.stack(found)


def attended(encoder: Hubert, attend: torch.nn.Module, x: Tensor) -> Tensor:
    """Attention of (T, D), head by head, query by query."""
    config, made = encoder.config, []
    time, width = len(x), encoder.config.dim // encoder.config.heads
    for head in range(config.heads):
        part = slice(head * width, (head + 1) * width)
        q, k, v = (projection(x)[:, part] for projection in (attend.q_proj, attend.k_proj, attend.v_proj))
        rows = []
        for query in range(time):
            scores = k @ q[query] / math.sqrt(width)
            if config.buckets:
                gates = attend.grep_linear.bias
                numbers = encoder.encoder.positions.weight[:, head]
                buckets = [bucket(key - query, config.buckets, config.furthest) for key in range(time)]
                first, second = torch.sigmoid((attend.grep_linear.weight @ x[query, part] + gates).view(2, 4).sum(1))
                scores = scores + (1 + first * (second * attend.grep_a[0, head, 0, 0]) + (1 - first)) * numbers[buckets]
            rows.append(torch.softmax(scores, 0) @ v)
        made.append(torch.stack(rows))
    return attend.out_proj(torch.cat(made, 1))


def whole(encoder: Hubert, waves: list[Tensor]) -> list[Tensor]:
    return [item.states for item in every_layer(encoder, waves, "after-norm")]


def check(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 2e-5 * wanted.abs().max()


def test_as_restated_alone_and_in_a_batch(encoder, waves, monkeypatch):
    wanted = [restated(encoder, wave) for wave in waves]
    by_torch = contextlib.nullcontext
    ways = {"one by one": by_torch, "as a whole": products.as_on_a_gpu}
    for way in ways.values():
        for rows in (attention.PAIRS, 100):  # and a few queries at a time
            monkeypatch.setattr(attention, "PAIRS", rows)
            with way():
                batch, even = whole(encoder, waves), whole(encoder, [waves[0]] * 2)
            for states, other in zip([*batch, *even], [*wanted, wanted[0], wanted[0]], strict=True):
                check(states, other)


def test_as_restated_by_torchs_modules(encoder, waves):
    """Where products do not serve, as where something learns."""
    with torch.enable_grad():
        frames = encoder.front_end(waves)
        x = encoder.before_layers(frames)
        for k in (1, 2):
            x, _ = encoder.layer(k, x, frames.packing)
    for wave, found in zip(waves, frames.packing.split(x), strict=True):
        check(found.detach(), restated(encoder, wave)[-1])


@pytest.mark.parametrize("way", ["autocast", "weights"])
@pytest.mark.parametrize("where", [contextlib.nullcontext, products.as_on_a_gpu], ids=["cpu", "gpu"])
def test_bfloat16(encoder, waves, way, where):
    with torch.no_grad(), where():
        assert_as_near_as_torch(copy.deepcopy(encoder), waves, way, torch.enable_grad())


def test_a_padded_recording(encoder, waves):
    """The steps that a GPU records."""
    with torch.no_grad(), products.as_on_a_gpu():
        steps = StaticPass(encoder, None, "after-norm", SAMPLES[0] + 700)
        steps.wave.normal_()
        for wave in waves:
            frames = steps.give(wave)
            steps.front_end()
            for k in (1, 2):
                steps.layer(k)
            check(steps.states[:, :frames], whole(encoder, [wave])[0])


def held(encoder: Hubert, branches: Branches | None = None) -> Checkpoint:
    """The encoder as a checkpoint has it."""
    shape = encoder.config
    return Checkpoint(encoder, None, branches, "after-norm", settings_of(shape), torch.zeros(shape.dim))


def test_exits_of_a_batch_are_those_alone(encoder, waves):
    branches = Branches(2, 12, 16)
    branches.reset(torch.Generator().manual_seed(2))
    branches.weight.data *= 10
    upstream = EarlyExitHubert(held(encoder, branches.requires_grad_(False)))
    first = sorted(item.entropies[0] for item in upstream.all_layers(waves))
    given = {"candidates": (1, 2), "tau": (first[0] + first[1]) / 2}
    batch = upstream.run(waves, **given)
    assert sorted(item.layer for item in batch) == [1, 2, 2]
    for wave, found in zip(waves, batch, strict=True):
        (alone,) = upstream.run([wave], **given)
        assert found.layer == alone.layer
        check(found.states, alone.states)
        np.testing.assert_allclose(found.entropies, alone.entropies, atol=1e-5)


def test_every_format_keeps_it(encoder, tmp_path):
    checkpoint = held(encoder)
    save(tmp_path / "own.safetensors", checkpoint, "safetensors")
    assert_same(checkpoint, load(tmp_path / "own.safetensors"))
    shape = encoder.config
    if shape.pos_depth > 1 and shape.buckets:
        with pytest.raises(DaisyError, match="transformers' data2vec has other norms"):
            save(tmp_path / "folder", checkpoint, "transformers")
        return
    save(tmp_path / "folder", checkpoint, "transformers")
    assert_same(checkpoint, load(tmp_path / "folder"))
    assert shape_of(tmp_path / "folder").layers == 2


def test_a_head_is_asked_of_a_model_that_has_none(encoder, tmp_path):
    save(tmp_path / "own.safetensors", held(encoder), "safetensors")
    with pytest.raises(DaisyError, match="no pre-training head.*targets.kind: kmeans"):
        shape_of(tmp_path / "own.safetensors", head=True)


def test_wavlms_own_file(encoder, tmp_path):
    """Its settings stand in `cfg` by themselves, and `normalize` among them."""
    if not encoder.config.buckets or encoder.config.pos_depth > 1:
        return
    checkpoint = held(encoder)
    cfg = {**checkpoint.fairseq_config["model"], **checkpoint.fairseq_config["task"], "expand_attention_head_size": -1}
    torch.save({"cfg": cfg, "model": state_dict(checkpoint)}, tmp_path / "WavLM.pt")
    assert shape_of(tmp_path / "WavLM.pt").dim == 16
    assert_same(checkpoint, load(tmp_path / "WavLM.pt"))
    state = {name: value for name, value in state_dict(checkpoint).items() if "grep_a" not in name}
    torch.save({"cfg": cfg, "model": state}, tmp_path / "cut.pt")
    with pytest.raises(DaisyError, match="the weight 'encoder.layers.0.self_attn.grep_a' is missing"):
        load(tmp_path / "cut.pt")
    torch.save({"cfg": {**cfg, "gru_rel_pos": False}, "model": state}, tmp_path / "ungated.pt")
    with pytest.raises(DaisyError, match="without gru_rel_pos"):
        load(tmp_path / "ungated.pt")


def test_what_differs_is_counted(encoder):
    shape, samples = encoder.config, 16_000
    plain = dataclasses.replace(shape, buckets=0, pos_depth=1)
    frames = shape.frames(samples)
    conv = encoder.encoder.pos_conv.convs[0].weight.numel() * frames
    gates = frames * 8 * shape.dim + frames**2 * shape.heads if shape.buckets else 0
    for layers in (0, 1, 2):
        more = shape.macs(samples, layers) - plain.macs(samples, layers)
        assert more == (shape.pos_depth - 1) * conv + layers * gates


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"pos_conv_depth": 5, "conv_pos": 95}, {"pos_depth": 5, "pos_kernel": 19}),
        ({"num_buckets": 40}, {}),
        ({"relative_position_embedding": True, "gru_rel_pos": True}, {"buckets": 320, "furthest": 1280}),
    ],
)
def test_settings_of_fairseq(given, wanted):
    assert from_fairseq(given, normalize=False) == HubertConfig(**wanted)
