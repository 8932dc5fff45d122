"""One recording, padded to a step: what the plain pass gives, with nothing in it that waits for a number."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from daisy.errors import DaisyError
from daisy.hubert import products
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.encoder import Hubert
from daisy.hubert.graphs import Compiled, Recorded
from daisy.hubert.static import StaticPass
from daisy.library.model import Daisy

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


WAITING = (
    "aten::item",
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::where",
    "aten::scalar_tensor",
    "aten::unique",
)
"""What a GPU would be waited for, or what would bring something to it."""


def launches(work: Callable[[], object]) -> list[tuple[str, str]]:
    """What torch is asked to do, and with which shapes."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        work()
    return [(event.name, str(event.input_shapes)) for event in profile.events() if event.name.startswith("aten::")]


def test_the_same_work_for_every_length_and_nothing_that_waits(model):
    steps = StaticPass(model.encoder, model.branches, model.position, 8000)

    def work() -> None:
        steps.front_end()
        for k in range(1, model.encoder.config.layers + 1):
            steps.layer(k)
            steps.check(k)

    work()  # lays out weights
    found = []
    for samples in (8000, 400):
        steps.give(torch.randn(samples))
        found.append(launches(work))
    assert len(found[0]) > 100 and found[0] == found[1]
    assert not {name for name, _ in found[0]} & set(WAITING)
    assert WAITING[0] in {name for name, _ in launches(steps.count.item)}


@pytest.mark.parametrize("ahead", [0, 1, 20])
def test_exits_are_those_of_the_plain_pass(model, ahead, waves):
    plain, compiled = EarlyExitHubert(model), Compiled(model, 8000, 2, ahead)
    waves = [waves[0][:11_000], waves[1][:16_000], waves[2][:9999]]
    entropies = np.array([plain.all_layers([wave])[0].entropies for wave in waves])
    ordered, layers = np.sort(entropies, axis=None), set()
    for place in (0, len(ordered) // 2, 3 * len(ordered) // 4):
        tau = float(ordered[place : place + 2].mean())
        for candidates in (range(1, plain.layers + 1), [2, 4], [3]):
            for wave in waves:
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


def test_the_library_uses_it_for_one_recording(model, waves, monkeypatch):
    """Chosen for a single recording on a GPU; elsewhere compiling changes nothing."""
    plain, compiled = Daisy(model), Daisy(model).compile(step=0.25)
    wave, asked = waves[0][:9000], []
    assert torch.equal(plain([wave]).features[0], compiled([wave]).features[0])
    assert compiled._compiled is not None and len(compiled._compiled) == 0

    def serves(given: list[torch.Tensor]) -> bool:
        asked.append(len(given))
        return len(given) == 1

    monkeypatch.setattr(compiled._compiled, "serves", serves)
    ours, theirs = compiled([wave], layer=3), plain([wave], layer=3)
    assert ours.exit_layer == theirs.exit_layer == [3] and asked == [1] and len(compiled._compiled) == 1
    torch.testing.assert_close(ours.features[0], theirs.features[0], rtol=0, atol=1e-4)
    compiled([wave], padding="formula")
    assert asked == [1], "padding as others compute it is not theirs"
    compiled.to(torch.device("cpu"))
    assert len(compiled._compiled) == 0
    for wrong in ({"step": 0}, {"lengths": 0}, {"ahead": -1}):
        with pytest.raises(DaisyError, match="compile"):
            plain.compile(**wrong)


def test_graphs_are_recorded_in_the_order_in_which_they_are_played(model, waves, monkeypatch):
    """With stand-ins for a GPU's graphs and streams: every step once, in one pool, after two plain passes."""
    log: list[tuple[str, object]] = []

    class Graph:
        def capture_begin(self, *, pool, capture_error_mode):
            log.append(("begin", pool))

        def capture_end(self):
            log.append(("end", None))

        def replay(self):
            log.append(("play", self))

    class Stream:
        def wait_stream(self, other):
            assert isinstance(other, Stream)

    stand_ins = {"CUDAGraph": Graph, "Stream": Stream, "current_stream": Stream, "synchronize": lambda: None}
    for name, value in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    runs: list[str] = []
    for name in ("front_end", "layer", "check"):
        plain = getattr(StaticPass, name)
        monkeypatch.setattr(StaticPass, name, lambda *given, plain=plain, name=name: (runs.append(name), plain(*given)))
    steps = StaticPass(model.encoder, model.branches, model.position, 4000)
    recorded = Recorded(steps, pool := object(), Stream())
    layers = model.encoder.config.layers
    assert runs == 3 * ["front_end", *layers * ["layer", "check"]]
    assert log == (1 + 2 * layers) * [("begin", pool), ("end", None)]
    assert sum(map(bool, recorded._held)) > layers, "layouts outlive a change of weights"
    del log[:]
    recorded.play("front end")
    recorded.play("layer", 2)
    assert [what for what, _ in log] == ["play", "play"] and log[0][1] is not log[1][1]
