"""A batch as a whole, as a GPU passes it, gives what recordings give one by one and torch's modules give."""

from __future__ import annotations

import copy
import itertools
import json

import numpy as np
import pytest
import torch
from models import assert_as_near_as_torch, drawn
from project import GOLDEN
from torch.nn import functional as F

from daisy.common import audio
from daisy.hubert import attention as attentions
from daisy.hubert import packing as packings
from daisy.hubert import products
from daisy.hubert.checkpoint import load
from daisy.hubert.config import HubertConfig
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.encoder import Hubert, PositionalConv
from daisy.hubert.packing import Frames, Packing

TOLERANCE = 1e-5
"""Relative to the largest value."""

LARGE = {"layer_norm_front_end": True, "conv_bias": True, "pre_norm": True, "normalize": True}
TAIL = ((8, 3, 2), (8, 2, 2))
SHAPES = {
    "base": {},
    "large": LARGE,
    "other kernels": {"conv_layers": ((8, 6, 3), (12, 5, 2), (8, 3, 3), (8, 3, 1))},
    "kernels below their strides": {"conv_layers": ((8, 3, 4), (12, 2, 3), (8, 1, 2))},
    "one convolution": {"conv_layers": ((8, 16, 8),), "layer_norm_front_end": True},
    "odd positions": {"pos_kernel": 5, "pos_groups": 2, "conv_layers": ((8, 10, 5), *TAIL)},
    "long positions": {"pos_kernel": 61, "pos_groups": 16, "conv_layers": ((8, 10, 5), *TAIL)},
    "one position": {"pos_kernel": 1, "pos_groups": 1, "conv_layers": ((8, 10, 5), *TAIL)},
}


@pytest.fixture(autouse=True)
def as_a_gpu_does():
    with torch.no_grad(), products.as_on_a_gpu():
        yield


def model(shape: str) -> Hubert:
    layers = ((8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2)
    sizes = {"dim": 16, "ffn_dim": 16, "heads": 2, "layers": 1, "pos_kernel": 16, "pos_groups": 4}
    return drawn(HubertConfig(**{"conv_layers": layers, **sizes, **SHAPES[shape]}))


def by_torch(encoder: Hubert, wave: torch.Tensor) -> list[torch.Tensor]:
    """State 0, the input of layer 1, and the output of layer 1 of a recording, by torch's modules alone."""
    with torch.enable_grad():  # where products do not serve
        frames = encoder.front_end([wave])
        x = encoder.before_layers(frames)
        return [frames.states, x, encoder.layer(1, x, frames.packing)[0]]


def as_a_whole(encoder: Hubert, waves: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """The same of a batch of recordings."""
    frames = encoder.front_end(waves)
    x = encoder.before_layers(frames)
    parts = (frames.states, x, encoder.layer(1, x, frames.packing)[0])
    return [list(item) for item in zip(*map(frames.packing.split, parts), strict=True)]


def check(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("shape", SHAPES)
def test_as_torch_does(shape):
    encoder = model(shape)
    least, hop = encoder.config.receptive_field, encoder.config.hop
    batches = [
        *([least + extra] for extra in (0, 1, hop - 1, hop)),
        [10_111, 20_000, 5003],
        [least + 33 * step for step in range(12)],
        [900] * 3,
    ]
    for lengths in batches:
        waves = [0.1 * torch.randn(length) + 0.05 for length in lengths]
        for wave, ours in zip(waves, as_a_whole(encoder, waves), strict=True):
            for one, other in zip(ours, by_torch(encoder, wave), strict=True):
                check(one, other, 3 * TOLERANCE)


def test_every_remainder():
    """One recording more and one less of every length over a stride of the whole front end."""
    encoder = model("base")
    waves = [0.1 * torch.randn(length) for length in range(719, 1043, 5)]
    for wave, ours in zip(waves, as_a_whole(encoder, waves), strict=True):
        check(ours[0], encoder.front_end([wave]).states)
        check(ours[0], by_torch(encoder, wave)[0], 3 * TOLERANCE)


def test_neighbours_do_not_matter():
    """However loud they are: what reads across the bound of a slot is no valid frame."""
    encoder, wave = model("base"), 0.1 * torch.randn(5000)
    alone = as_a_whole(encoder, [wave])[0]
    for loud in ([1e4 * torch.randn(2000), wave], [wave, 1e4 * torch.randn(9999)]):
        found = as_a_whole(encoder, loud)[0 if loud[0] is wave else 1]
        for ours, theirs in zip(found, alone, strict=True):
            check(ours, theirs)


def test_a_loud_offset_costs_no_digits():
    encoder, wave = model("base"), 0.001 * torch.randn(16_000) + 0.9
    check(as_a_whole(encoder, [wave, wave])[1][0], by_torch(encoder, wave)[0], 100 * TOLERANCE)


@pytest.mark.parametrize("shape", ["base", "large", "long positions"])
@pytest.mark.parametrize("way", ["autocast", "weights"])
def test_bfloat16(shape, way):
    """As near to float32 as torch's own modules come."""
    encoder, waves = model(shape), [0.1 * torch.randn(length) for length in (20_000, 9000, 20_000)]
    assert_as_near_as_torch(encoder, waves, way, torch.enable_grad())


@pytest.mark.parametrize("kernel", [1, 2, 7, 8, 31, 128])
@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize("depth", [1, 3])
def test_banded_positions(kernel, groups, depth):
    """Every length about a block's, one utterance and many, with zeros and nothing else between them."""
    torch.manual_seed(0)
    config = HubertConfig(dim=24, pos_kernel=kernel, pos_groups=groups, pos_depth=depth)
    layer = PositionalConv(config).requires_grad_(False)
    lengths = [*range(1, 35), 100]
    x = torch.randn(sum(lengths), 24)
    packing = Packing(lengths, x.device)
    ours = packing.split(layer(Frames(x, packing)))
    for part, found in zip(packing.split(x), ours, strict=True):
        theirs = layer.padded(part[None])[0]
        check(found, theirs)
        spare = torch.arange(len(part) + 5) >= len(part)
        check(layer.one(torch.cat([part, torch.ones(5, 24)]), spare, torch.float32)[: len(part)], theirs)


def test_changed_weights_are_noticed():
    encoder, wave = model("large"), torch.randn(8000)
    before = encoder.output([wave], 1).states
    for weight in (
        encoder.feature_extractor.conv_layers[0][0].weight,
        encoder.feature_extractor.conv_layers[6][0].bias,
        encoder.encoder.pos_conv[0].weight,
        encoder.encoder.layers[0].self_attn.v_proj.weight,
        encoder.encoder.layers[0].self_attn.v_proj.bias,
    ):
        weight *= 1.5
        now = encoder.output([wave], 1).states
        assert (now - before).abs().max() > 100 * TOLERANCE
        assert torch.equal(now, copy.deepcopy(encoder).output([wave], 1).states)
        before = now


@pytest.mark.parametrize("name", ["daisy_tiny_after_norm", "daisy_tiny_before_norm"])
def test_golden_numbers(name):
    numbers, states = json.loads((GOLDEN / f"{name}.json").read_text()), np.load(GOLDEN / f"{name}.npz")
    waves = [audio.read(GOLDEN / file) for file in numbers["recordings"]]
    golden = EarlyExitHubert(load(GOLDEN / f"{name}.pt"))
    items = golden.all_layers(waves)
    for k in range(golden.layers + 1):
        expected = states[f"hidden_{k}"]
        assert np.abs(items[0].states[k].numpy() - expected).max() < 1e-4 * np.abs(expected).max(), k
    np.testing.assert_allclose([item.entropies for item in items], numbers["entropies_single"], rtol=1e-4)
    for case in numbers["cases"]:
        if case["mode"] == "train":
            candidates = list(range(1, golden.layers + 1))
        else:
            candidates = numbers["candidate_layers"][case["strategy"]]
        tau = case.get("rho", 1.0) * numbers["threshold"]
        chosen = [waves[index] for index in case["utterances"]]
        if len(chosen) == 1 and case["mode"] == "eval":
            (item,) = golden.run(chosen, candidates=candidates, tau=tau)
            assert item.layer == case["exit_layer"], case


def test_states_of_who_leaves_early(checkpoint, waves):
    """One by one, and in a batch that loses members on the way: the same layers, states and entropies."""
    golden = EarlyExitHubert(checkpoint)
    every = range(1, golden.layers + 1)
    entropies = np.sort([item.entropies for item in golden.all_layers(waves)], axis=None)
    tau = float(entropies[len(entropies) // 2 :][:2].mean())
    together = golden.run(waves, candidates=every, tau=tau)
    assert len({item.layer for item in together}) > 1
    for wave, item in zip(waves[:4], together, strict=False):
        (alone,) = golden.run([wave], candidates=every, tau=tau)
        assert alone.layer == item.layer
        torch.testing.assert_close(item.states, alone.states, rtol=0, atol=1e-5)
        np.testing.assert_allclose(item.entropies, alone.entropies, atol=1e-5)


def by_utterance(q, k, v, bounds, longest):
    """What the kernels for packed frames compute."""
    assert bounds.dtype == torch.int32 and bounds[0] == 0 and bounds[-1] == len(q) == len(k) == len(v)
    assert longest == bounds.diff().max()
    parts = ([x[begin:end, None].transpose(0, 2) for x in (q, k, v)] for begin, end in itertools.pairwise(bounds))
    return torch.cat([F.scaled_dot_product_attention(*part).transpose(0, 2)[:, 0] for part in parts])


@pytest.mark.parametrize("name", ["_flash_attention_forward", "_efficient_attention_forward"])
def test_packed_attention_is_called_as_torch_has_it(name, monkeypatch):
    """By the names of the schema that this torch has, in the layout that it wants."""
    called = attentions.flash if "flash" in name else attentions.efficient
    schema = getattr(torch.ops.aten, name).default._schema
    known = {argument.name for argument in schema.arguments}
    needed = {argument.name for argument in schema.arguments if not argument.has_default_value()}
    seen = []

    def stand_in(**given):
        assert needed <= set(given) <= known
        assert given["dropout_p"] == 0 and not given.get("is_causal") and not given.get("custom_mask_type")
        q, k, v = (given[name] for name in ("query", "key", "value"))
        assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1
        bounds, most = (given["cum_seq_q"], given["max_q"]) if q.ndim == 3 else (given["cu_seqlens_q"], None)
        most = given["max_seqlen_q"] if most is None else most
        seen.append(q.shape)
        if q.ndim == 3:
            return by_utterance(q, k, v, bounds, most), None
        return by_utterance(q[0], k[0], v[0], bounds, most)[None], None

    encoder, waves = model("base"), [0.1 * torch.randn(length) for length in (20_000, 9000, 20_000)]
    theirs = encoder.output(waves, 1).states
    monkeypatch.setattr(torch.ops.aten, name, stand_in)
    monkeypatch.setattr(packings, "packed_kernel", lambda q: called)
    check(encoder.output(waves, 1).states, theirs)
    check(encoder.output(waves[:1], 1).states, theirs[: encoder.config.frames(20_000)])
    assert len(seen) == 2


def test_which_attention(monkeypatch):
    """Flash for bfloat16, the memory-efficient one in float32; none before Ampere in bfloat16, or if torch has none."""

    class OnGpu(torch.Tensor):
        is_cuda = True

    def queries(kind: torch.dtype, width: int) -> torch.Tensor:
        return torch.zeros(5, 2, width, dtype=kind).as_subclass(OnGpu)

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    half, full = torch.bfloat16, torch.float32
    assert attentions.packed_kernel(queries(half, 64)) is attentions.flash
    assert attentions.packed_kernel(queries(full, 64)) is attentions.efficient
    assert attentions.packed_kernel(queries(half, 6)) is attentions.packed_kernel(queries(full, 264)) is None
    assert attentions.packed_kernel(torch.zeros(5, 2, 64)) is None
    with torch.enable_grad():
        assert attentions.packed_kernel(queries(full, 64)) is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert attentions.packed_kernel(queries(half, 64)) is None
    assert attentions.packed_kernel(queries(full, 64)) is attentions.efficient
    monkeypatch.setattr(attentions, "has", lambda name: False)
    assert attentions.packed_kernel(queries(full, 64)) is None
