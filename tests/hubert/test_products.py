"""Products give what torch's modules give, at every length and shape, and nearly the same in bfloat16."""

from __future__ import annotations

import contextlib
import copy
import dataclasses

import pytest
import torch
from models import assert_as_near_as_torch, drawn

from daisy.hubert import branches as branch_module
from daisy.hubert import encoder as encoders
from daisy.hubert import products
from daisy.hubert.branches import Branches
from daisy.hubert.config import HubertConfig
from daisy.hubert.encoder import Hubert

TOLERANCE = 1e-5
"""Relative to the largest value; both ways round, in another order."""

SMALL = HubertConfig(
    conv_layers=((8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2),
    dim=16,
    ffn_dim=16,
    heads=2,
    layers=1,
    pos_kernel=16,
    pos_groups=4,
)
SHAPES = {
    "base": {},
    "large": {"layer_norm_front_end": True, "conv_bias": True, "pre_norm": True, "normalize": True},
    "other kernels": {"conv_layers": ((8, 6, 3), (12, 5, 2), (8, 3, 3), (8, 3, 1))},
    "one convolution": {"conv_layers": ((8, 16, 8),), "layer_norm_front_end": True},
    "long positions": {"pos_kernel": 300},
}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def model(shape: str) -> Hubert:
    return drawn(dataclasses.replace(SMALL, **SHAPES[shape]))


def both(encoder: Hubert, waves: list[torch.Tensor], monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """State 0 and the input of layer 1 of every recording, by products and by torch's convolutions."""
    found = []
    for precision in (products.precision, lambda weight: None):
        with monkeypatch.context() as patch:
            for module in (encoders, products):
                patch.setattr(module, "precision", precision)
            frames = encoder.front_end(waves)
            x = encoder.before_layers(frames)
        found.append([*frames.split(), *frames.packing.split(x)])
    return list(zip(*found, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_as_torch_does(shape, monkeypatch):
    encoder, least = model(shape), model(shape).config.receptive_field
    for lengths in ([least], [least + 1, 4000], [331_111, 20_000, 5003], range(least, least + 1300, 170)):
        waves = [0.1 * torch.randn(length) + 0.05 for length in lengths]
        for ours, theirs in both(encoder, waves, monkeypatch):
            assert (ours - theirs).abs().max() < TOLERANCE * theirs.abs().max()


def test_a_loud_offset_costs_no_digits(monkeypatch):
    """The group norm's statistics are a small variance about a large mean."""
    encoder = model("base")
    for ours, theirs in both(encoder, [0.001 * torch.randn(16_000) + 0.9], monkeypatch):
        assert (ours - theirs).abs().max() < 100 * TOLERANCE * theirs.abs().max()


def test_changed_weights_are_noticed(monkeypatch):
    encoder, wave = model("large"), torch.randn(8000)
    before = encoder.output([wave], 1).states
    for weight in (
        encoder.feature_extractor.conv_layers[2][0].weight,
        encoder.feature_extractor.conv_layers[6][0].bias,
        encoder.encoder.pos_conv[0].weight,
        encoder.encoder.layers[0].fc1.weight,
    ):
        weight *= 1.5
        now = encoder.output([wave], 1).states
        assert (now - before).abs().max() > 100 * TOLERANCE
        assert torch.equal(now, copy.deepcopy(encoder).output([wave], 1).states)
        before = now
    rounded = encoder.to(torch.bfloat16).to(torch.float32).output([wave], 1).states
    assert (rounded - before).abs().max() > 10 * TOLERANCE
    ours, theirs = both(encoder, [wave], monkeypatch)[1]
    assert (ours - theirs).abs().max() < TOLERANCE * theirs.abs().max()


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_a_model_that_learns_is_not_taken_for_its_past(kind, options):
    """Between two steps it is evaluated; torch's fused optimizers leave no mark on what they change."""
    layer, branches, x = products.Linear(8, 8), Branches(2, 4, 8), torch.randn(3, 8)
    branches.reset(torch.Generator().manual_seed(0))
    optimizer = kind([*layer.parameters(), *branches.parameters()], lr=0.1, **options)
    for _ in range(3):
        torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)
        torch.testing.assert_close(branches(2, x), x @ branches.weight[1].T + branches.bias[1])
        with torch.enable_grad():
            (layer(x).square().sum() + branches.logits(x.expand(2, 3, 8)).square().sum()).backward()
        optimizer.step()


def test_what_does_not_learn_is_kept_while_another_does():
    layer, other, x = products.Linear(8, 8).requires_grad_(False), torch.nn.Parameter(torch.ones(1)), torch.randn(2, 8)
    layer(x)
    ((_, _, kept),) = layer._kept.values()
    other.grad = torch.ones(1)
    torch.optim.SGD([other], lr=0.1).step()
    layer(x)
    assert next(iter(layer._kept.values()))[2] is kept


def test_both_precisions_are_kept():
    """A model that runs in turn in both lays out its weights once for each."""
    layer, x = products.Linear(8, 8), torch.randn(2, 8)
    layer(x)
    kept = layer._kept[torch.float32, False]
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    layer(x)
    assert layer._kept[torch.float32, False] is kept and {kind for kind, _ in layer._kept} == {
        torch.float32,
        torch.bfloat16,
    }


def test_gradients_flow_where_they_are_wanted():
    encoder, wave = model("base"), torch.randn(8000, requires_grad=True)
    with torch.enable_grad():
        encoder.output([wave], 1).states.square().sum().backward()
    assert wave.grad is not None and wave.grad.abs().max() > 0


def test_only_where_they_serve():
    weight = torch.zeros(1)
    assert products.precision(weight) == torch.float32
    assert products.precision(weight.bfloat16()) == torch.bfloat16
    assert products.precision(weight.to("meta")) is None and products.precision(weight.half()) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert products.precision(weight) == torch.bfloat16
    with torch.autocast("cpu", torch.float16):
        assert products.precision(weight) is None
    with torch.enable_grad():
        assert products.precision(weight) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["autocast", "weights"])
def test_bfloat16(shape, way, monkeypatch):
    """As near to float32 as torch's own modules come."""
    encoder, waves = model(shape), [0.1 * torch.randn(length) for length in (20_000, 9000, 20_000)]

    @contextlib.contextmanager
    def by_torch():
        for module in (encoders, products):
            monkeypatch.setattr(module, "precision", lambda weight: None)
        yield

    assert_as_near_as_torch(encoder, waves, way, by_torch())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_without_the_compilers_products(kind, monkeypatch):
    """Where torch was built without them, or the processor lacks them."""
    weight, bias, x = torch.randn(8, 16), torch.randn(8), torch.randn(5, 16)
    theirs = products.Product(weight, bias, kind)(x, gelu=True)
    monkeypatch.setattr(products, "packs", lambda kind: False)
    ours = products.Product(weight, bias, kind)(x, gelu=True)
    assert ours.dtype == theirs.dtype == kind
    torch.testing.assert_close(ours, theirs, rtol=1e-2 if kind == torch.bfloat16 else 1e-5, atol=1e-2)


def test_branches_learn_as_with_torch(monkeypatch):
    branches = Branches(3, 5, 8)
    branches.reset(torch.Generator().manual_seed(0))
    states, gradients = torch.randn(3, 11, 8), []
    for serves in (products.trains, lambda weight: False):
        monkeypatch.setattr(branch_module, "trains", serves)
        with torch.enable_grad():
            logits = branches.logits(states)
            assert (type(logits.grad_fn).__name__ == "TrainedBackward") == serves(branches.weight)
            logits.logsumexp(-1).square().sum().backward()
        gradients.append((logits.detach(), branches.weight.grad, branches.bias.grad))
        branches.zero_grad()
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
