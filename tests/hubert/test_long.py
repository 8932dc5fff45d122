"""Recordings longer than a window: cut, joined, stopped, and in time that grows with their length."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import torch
from models import drawn

import daisy
from daisy.branches.train import frozen_states, read_part
from daisy.common.compute import Compute
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.hubert import encoder as encoders
from daisy.hubert.config import HubertConfig
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.every_layer import entropies_of, every_layer
from daisy.hubert.products import as_on_a_gpu
from daisy.hubert.signals import every_signal
from daisy.hubert.windows import Window, Windows
from daisy.training.stretches import Stretches, length

SMALL = Windows(2.0, 0.25)
WHOLE = Windows(math.inf)


@pytest.fixture
def speech(waves) -> torch.Tensor:
    """12 s of speech, one recording behind the other."""
    return torch.cat(waves)


def shape(**more: object) -> HubertConfig:
    convolutions = ((24, 10, 5), *[(24, 3, 2)] * 4, *[(24, 2, 2)] * 2)
    sizes = {"dim": 32, "ffn_dim": 64, "heads": 4, "layers": 2, "pos_kernel": 16, "pos_groups": 4}
    return HubertConfig(convolutions, **{**sizes, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("frames", [51, 52, 99, 100, 1234])
def test_windows_cover_a_recording_and_join_in_the_middle(frames, overlap):
    windows = Windows(1.0, overlap).of(frames, 320)
    assert {window.size for window in windows} == {50}
    assert windows[0].start == windows[0].begin == 0
    assert windows[-1].start + windows[-1].size == windows[-1].end == frames
    for one, other in zip(windows[:-1], windows[1:], strict=True):
        end = one.start + one.size
        assert end - other.start >= int(50 * overlap) and one.start < other.start
        assert one.end == other.begin == (end + other.start) // 2
    assert Windows(1.0, overlap).of(50, 320) == [Window(0, 50, 0, 50)]


@pytest.mark.parametrize("seconds", [math.nan, -1.0, 0.0, 0.5])
def test_too_short_a_window_is_refused(checkpoint, waves, seconds):
    with pytest.raises(DaisyError, match=r"a window of .* Give it 1 s"):
        daisy.Daisy(checkpoint)(waves, layer=1, window=seconds)


def test_the_papers_corpora_are_computed_whole():
    assert len(Windows().of(HubertConfig().frames(145 * 16_000), 320)) == 1
    assert len(WHOLE.of(10**6, 320)) == 1


@pytest.mark.parametrize(
    "config",
    [
        shape(),
        shape(layer_norm_front_end=True, conv_bias=True, pre_norm=True, normalize=True),
        shape(pos_depth=3, pos_kernel=5),
        shape(buckets=16, furthest=40),
    ],
    ids=["base", "large", "data2vec", "wavlm"],
)
@pytest.mark.parametrize("way", ["one by one", "as a whole", "by torch"])
def test_all_before_attention_equals_the_whole(config, way, speech):
    encoder, found = drawn(config), []
    for windows in (WHOLE, SMALL):
        with (
            as_on_a_gpu() if way == "as a whole" else contextlib.nullcontext(),
            torch.set_grad_enabled(way == "by torch"),
        ):
            frames = encoder.front_end([speech, speech[:20_000]], windows=windows)
            found.append([*frames.split(), *frames.packing.split(encoder.before_layers(frames))])
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(cut, whole, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_states_equal_the_whole_within_the_stated_bound(waves):
    """The bound of docs/long-recordings.md for the embedded model, on speech that it was not trained on."""
    model = daisy.load("tiny")
    wave = torch.cat([*waves, *reversed(waves)])[: 20 * 16_000]
    whole, cut = model.all_layers([wave]), model.all_layers([wave], window=10.0)
    (expected,), (found,) = whole.features, cut.features
    apart = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert apart[0].max() < 1e-5, "what the front end gives"
    assert 0 < apart.mean() < 0.06
    assert np.abs(np.subtract(whole.entropies, cut.entropies)).max() < 0.05


@pytest.mark.parametrize("position", ["after-norm", "before-norm"])
def test_who_exits(checkpoint, speech, position):
    """A recording by the mean over its frames, a window by the mean over its own; a short recording as ever."""
    checkpoint.position = position
    model, short = daisy.Daisy(checkpoint), speech[:24_000]
    every = model.all_layers([speech, short], window=2.0)
    asked = model([speech], threshold=0.0, window=2.0, granularity="window").windows[0]
    table = np.array([one.entropies[:5] for one in asked])
    tau = float(np.median(table[:, table.mean(0).argmin()]))  # which half of the windows pass there
    alone = model([short], threshold=tau)
    together = model([speech, short], threshold=tau, window=2.0)
    assert together.exit_layer[0] == ExitRule(tuple(range(1, 7)), tau).layer(every.entropies[0])
    assert together.exit_layer[1:] == alone.exit_layer and together.windows == []
    torch.testing.assert_close(together.features[1], alone.features[0], atol=1e-5, rtol=1e-5)
    states = every.features[0]
    torch.testing.assert_close(together.features[0], states[: len(together.features[0])], atol=1e-5, rtol=1e-5)

    apart = model([speech, short], threshold=tau, window=2.0, granularity="window")
    windows = apart.windows[0]
    assert [(one.begin, one.end) for one in windows] == [one[2:] for one in Windows(2.0).of(states.shape[1], 320)]
    assert len({one.layer for one in windows}) > 1, "the threshold divides them"
    assert apart.exit_layer == [max(one.layer for one in windows), *alone.exit_layer]
    assert [one.layer for one in apart.windows[1]] == alone.exit_layer
    for one in windows:
        own = apart.features[0][:, one.begin : one.end]
        torch.testing.assert_close(
            own[: one.layer + 1], states[: one.layer + 1, one.begin : one.end], atol=1e-5, rtol=1e-5
        )
        assert not own[one.layer + 1 :].any()
    counts = [one.end - one.begin for one in windows]
    first = np.average([one.entropies[0] for one in windows], weights=counts)
    assert first == pytest.approx(every.entropies[0][0], abs=1e-5) == apart.entropies[0][0]

    last = model([speech, short], threshold=tau, window=2.0, granularity="window", states="last")
    for one in windows:
        found, expected = (out.features[0][:, one.begin : one.end] for out in (last, apart))
        assert found.shape[0] == 1 and torch.allclose(found[0], expected[one.layer], atol=1e-5)
    assert torch.allclose(model([short], states="last").features[0][0], every.features[1][-1], atol=1e-5)


def test_a_recording_as_long_as_a_window_is_what_it_was(checkpoint, waves):
    model, wave = daisy.Daisy(checkpoint), waves[0][: 16_000 + 320]
    for granularity in ("utterance", "batch", "window"):
        arguments = {"threshold": 3.0, "granularity": granularity}
        one, other = (model([wave], window=window, **arguments) for window in (len(wave) / 16_000, math.inf))
        assert torch.equal(one.features[0], other.features[0]) and one.exit_layer == other.exit_layer
    assert one.windows[0][0].layer == one.exit_layer[0]


def test_other_paddings_refuse_long_recordings(checkpoint, speech):
    upstream = EarlyExitHubert(checkpoint)
    for padding in ("published", "formula"):
        with pytest.raises(DaisyError, match=f'padding=.{padding}. .* 12 s .* padding="exact", or window=math.inf'):
            upstream.run([speech], candidates=[1], padding=padding, windows=SMALL)
        assert upstream.run([speech], candidates=[1], padding=padding, windows=WHOLE)[0].layer == 1


@torch.no_grad()
def test_what_stages_compute_of_a_long_recording(checkpoint, speech, monkeypatch):
    """They say nothing of windows, and get the same of them as the library: states, entropies, signals, labels."""
    monkeypatch.setattr(encoders, "WINDOWS", Windows(2.0))
    encoder, branches, position = checkpoint.encoder, checkpoint.branches, checkpoint.position
    expected = daisy.Daisy(checkpoint).all_layers([speech], window=2.0)
    (found,) = every_layer(encoder, [speech], position, branches, position)
    assert torch.equal(found.states, expected.features[0]) and found.entropies == expected.entropies[0]
    entropies = entropies_of(encoder, [speech], branches, position)
    assert entropies[0].tolist() == pytest.approx(found.entropies, abs=1e-5)
    signals = every_signal(encoder, [speech], branches, position, ["entropy", "least-sure", "agreement"])
    assert signals[0][0].tolist() == pytest.approx(found.entropies, abs=1e-5)
    assert all(values.shape == (1, 6) and values.isfinite().all() for values in signals)
    (frames,) = encoder.output([speech], 3).split()
    torch.testing.assert_close(frames, found.states[3], atol=1e-6, rtol=1e-6)


def test_what_takes_long_is_told(checkpoint, speech, monkeypatch, capsys):
    monkeypatch.setattr("daisy.common.progress.time.monotonic", lambda: 0.0)
    daisy.Daisy(checkpoint)([speech], layer=2, window=4.0)
    assert capsys.readouterr().err == "", "not what is done at once"
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("daisy.common.progress.time.monotonic", lambda: float(next(clock)))
    daisy.Daisy(checkpoint)([speech], layer=2, window=4.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("12 s of audio in 4 windows: 1/12 windows of layers (8%), ")
    assert "12/12 windows of layers (100%), done in" in lines[-1]


def test_time_and_memory_grow_with_the_length(checkpoint, speech, monkeypatch):
    """No layer ever sees more than a window, or as many short ones as are allowed at once."""
    seen = []
    layer = type(checkpoint.encoder.encoder.layers[0])
    forward = layer.forward
    monkeypatch.setattr("daisy.hubert.packing.ROWS", 250)
    monkeypatch.setattr(layer, "forward", lambda self, x, *more: (seen.append(len(x)), forward(self, x, *more))[1])
    model = daisy.Daisy(checkpoint)
    work = []
    for times in (1, 2, 4):
        seen.clear()
        model([speech.repeat(times)], layer=1, window=2.0)
        assert max(seen) <= 250
        work.append(sum(seen))
    assert [more / work[0] for more in work] == pytest.approx([1, 2, 4], rel=0.1)
    config = HubertConfig()
    hour, two = (config.macs(hours * 3600 * 16_000, 12) for hours in (1, 2))
    assert two / hour == pytest.approx(2, rel=0.01)


def test_a_step_learns_from_a_stretch_of_a_long_recording(checkpoint, spoken):
    config, hour = checkpoint.encoder.config, 180_000
    stretches = Stretches(config, 1)
    assert stretches.of(7_000, 2, 3) == slice(0, 7_000)
    drawn_ones = [stretches.of(hour, step, 3) for step in range(20)]
    assert len(set(one.start for one in drawn_ones)) == 20 and drawn_ones[0] == Stretches(config, 1).of(hour, 0, 3)
    assert all(one.stop - one.start == 7_500 and 0 <= one.start <= hour - 7_500 for one in drawn_ones)
    assert length(drawn_ones) == 20 * 7_500
    shares, parts = zip(*stretches.of_parts({3: hour, 4: 7_500, 5: 5_000}, 0, [[3], [4, 5]]), strict=True)
    assert shares == (0.375, 0.625) and parts[0] == {3: drawn_ones[0]} and parts[1][5] == slice(0, 5_000)

    manifest = read_manifest(spoken / "train.tsv")
    labels = [np.arange(config.frames(item.samples)) for item in manifest.utterances]
    own = {0: slice(10, 30), 1: slice(0, len(labels[1]))}
    part = read_part(manifest, labels, own, stretches, torch.device("cpu"))
    (targets,) = part.targets.arrived()
    waves = part.waves.arrived()
    assert targets.tolist() == [*range(10, 30), *labels[1]]
    assert torch.equal(waves[1], manifest.wave(1)) and config.frames(len(waves[0])) == 20
    assert frozen_states(checkpoint, waves, Compute()).shape[1] == len(targets)
