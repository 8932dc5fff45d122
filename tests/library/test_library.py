"""`daisy.load` and the model's call: what users of the library rely on."""

from __future__ import annotations

import math
import re
import sys

import numpy as np
import pytest
import torch
from models import large_shaped
from runners import finished

import daisy
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration, from_plain
from daisy.exits.candidates import candidate_layers
from daisy.exits.rule import ExitRule
from daisy.exits.thresholds import midrange
from daisy.library import model as library
from daisy.library.s3prl import DaisyUpstream

COUNTS = (0, 1, 4, 3, 0, 2)


@pytest.fixture
def model(checkpoint, waves) -> daisy.Daisy:
    """The golden model, calibrated on the golden recordings for a made-up histogram."""
    model = daisy.Daisy(checkpoint)
    table = torch.tensor(model.all_layers(waves).entropies)
    mean = tuple(table.mean(0).tolist())
    checkpoint.calibrations = {"asr": Calibration("midrange", mean, None, 0.2, {1.0: COUNTS})}
    return model


def test_features(model, waves):
    out = model(waves, rho=1.0, strategy="min-max", task="asr")
    tau = midrange(model.calibrations["asr"].mean_entropy, 1.0)
    candidates = candidate_layers("min-max", COUNTS, 0.2)
    every = model.all_layers(waves)
    for wave, features, k, asked, entropies, states in zip(
        waves, out.features, out.exit_layer, out.entropies, every.entropies, every.features, strict=True
    ):
        assert k == ExitRule(candidates, tau).layer(entropies)
        assert features.shape == (k + 1, model.config.frames(len(wave)), model.dim)
        assert torch.allclose(features, states[: k + 1], atol=1e-5)
        looked_at = [n for n in candidates[:-1] if n <= k]
        assert [n for n, value in enumerate(asked, start=1) if not math.isnan(value)] == looked_at
        assert not features.requires_grad and not features.is_inference()
    assert len(set(out.exit_layer)) > 1


def test_ways_of_stopping(model, waves):
    assert model(waves).exit_layer == [model.layers] * len(waves)
    assert model(waves, layer=2).exit_layer == [2] * len(waves)
    assert model(waves, threshold=math.inf).exit_layer == [1] * len(waves)
    assert model(waves, threshold=0.0).exit_layer == [model.layers] * len(waves)
    assert model([]).features == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rho": 1.0, "layer": 3}, "several ways"),
        ({"threshold": 1.0, "layer": 3}, "several ways"),
        ({"rho": 1.0, "task": "asr"}, "strategy is missing"),
        ({"rho": 0.9, "strategy": "avg", "task": "asr"}, r"rho 0\.9 is not calibrated for asr \(calibrated: 1\)"),
        ({"rho": 1.0, "strategy": "avg", "task": "se"}, "not calibrated for the task 'se'"),
        ({"rho": 1.0, "strategy": "best", "task": "asr"}, "strategy 'best' is unknown"),
        ({"layer": 7}, "no layer 7"),
        ({"layer": 0}, "no layer 0"),
        ({"threshold": math.nan}, "NaN"),
        ({"threshold": -1.0}, "-1, and no entropy is below zero"),
    ],
)
def test_contradictory_requests(model, waves, arguments, message):
    with pytest.raises(DaisyError, match=message):
        model(waves, **arguments)


def test_without_branches(model, waves):
    model.checkpoint.branches = None
    plain = daisy.Daisy(model.checkpoint)
    assert plain(waves, layer=3).exit_layer == [3] * len(waves)
    with pytest.raises(DaisyError, match="no exit branches"):
        plain(waves, threshold=1.0)
    assert all(math.isnan(value) for row in plain.all_layers(waves).entropies for value in row)


@pytest.mark.parametrize(
    ("waveforms", "message"),
    [
        (torch.zeros(2, 16_000), "one tensor"),
        ([torch.zeros(2, 16_000)], r"waveform 0 is a torch\.float32 tensor \(2, 16000\)"),
        ([torch.zeros(16_000, dtype=torch.int16)], "int16"),
        ([torch.full((16_000,), math.nan)], "NaN"),
        ([torch.zeros(0)], "shape"),
        ([[0.0] * 16_000], "list"),
        (np.zeros((2, 16_000), np.float32), "one array"),
        ([np.zeros((2, 16_000), np.float32)], r"waveform 0 is a float32 array \(2, 16000\)"),
        ([np.zeros(16_000, np.int16)], "int16 array .*divide integers"),
        ([np.full(16_000, np.inf)], "infinity"),
        ([torch.full((16_000,), 3000.0)], "waveform 0 reaches 3000, far beyond 1"),
    ],
)
def test_bad_waveforms(model, waveforms, message):
    with pytest.raises(DaisyError, match=message):
        model(waveforms)


def test_arrays_are_waveforms_too(model, waves):
    expected = model(waves[:2], layer=2).features
    arrays = [waves[0].numpy(), waves[1].double().numpy()]
    reversed_ = arrays[0][::-1].copy()[::-1]
    swapped = arrays[0].astype(">f4")
    swapped.flags.writeable = False
    for given in (arrays, [reversed_, arrays[1]], [swapped, waves[1]]):
        for one, other in zip(model(given, layer=2).features, expected, strict=True):
            assert torch.equal(one, other)
    assert model.all_layers(arrays[:1]).entropies == model.all_layers(waves[:1]).entropies


def test_a_model_that_normalises_takes_any_scale(waves):
    large = daisy.Daisy(large_shaped())
    one, other = (large([scale * waves[0]], layer=1).features[0] for scale in (1.0, 3e4))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "cuda"])
def test_a_device_that_is_not_there(model, device):
    if device == "cuda" and torch.cuda.is_available():
        return
    with pytest.raises(DaisyError, match=f"this machine has no device '{device}'"):
        model.to(device)
    assert model.to("cpu", torch.float32).device.type == "cpu"


def test_half_precision(model, waves):
    whole = model(waves, layer=4).features
    half = model.to(dtype=torch.bfloat16)(waves, layer=4)
    assert half.features[0].dtype == torch.bfloat16
    for one, other in zip(whole, half.features, strict=True):
        assert (one - other.float()).norm() / one.norm() < 0.05
    # Entropies are summed in float32.
    assert all(isinstance(value, float) for row in model.all_layers(waves).entropies for value in row)


def test_calibration_of_another_depth():
    with pytest.raises(ValueError, match="6 layers, the model has 12"):
        from_plain({"asr": Calibration("midrange", (1.0,) * 6, None, 0.2, {1.0: COUNTS}).plain()}, 12)


def test_gradients_flow_through_what_uses_the_features(model, waves):
    linear = torch.nn.Linear(model.dim, 3)
    linear(model(waves, layer=2).features[0][-1]).sum().backward()
    assert linear.weight.grad is not None


def test_importing_daisy_imports_no_torch():
    code = "import sys, daisy; assert 'torch' not in sys.modules; daisy.load; assert 'torch' in sys.modules"
    drawing = "import daisy.cli.exits, daisy.library.under_noise; assert 'matplotlib' not in sys.modules"
    finished([sys.executable, "-c", f"{code}; {drawing}"])


def test_s3prl_interface(checkpoint, model, waves, tmp_path):
    from daisy.hubert.checkpoint import save

    save(tmp_path / "model.safetensors", checkpoint, "safetensors")
    upstream = DaisyUpstream(tmp_path / "model.safetensors", rho=1.0, strategy="min-max", task="asr")
    result = upstream(waves)
    assert upstream.get_downsample_rates("hidden_states") == 320
    assert len(result["hidden_states"]) == model.layers + 1
    direct = model(waves, rho=1.0, strategy="min-max", task="asr")
    longest = max(len(states[0]) for states in direct.features)
    for layer, states in enumerate(result["hidden_states"]):
        assert states.shape == (len(waves), longest, model.dim)
        for row, (features, k) in enumerate(zip(direct.features, direct.exit_layer, strict=True)):
            frames = features.shape[1]
            expected = features[layer] if layer <= k else torch.zeros(frames, model.dim)
            assert torch.equal(states[row, :frames], expected) and not states[row, frames:].any()
    assert result["exit_layer"] == direct.exit_layer


@pytest.mark.parametrize(("there", "order"), [(False, ["judge", "pass"]), (True, ["pass", "judge"])])
def test_what_lies_on_a_gpu_is_judged_when_the_pass_is_under_way(model, monkeypatch, there, order):
    """Else the GPU would be waited for; what is wrong is told all the same."""

    class OnGpu(torch.Tensor):
        is_cuda = there

    done: list[str] = []
    judges = library.look([torch.tensor([float("nan")])], 1.0)
    monkeypatch.setattr(library, "look", lambda waves, loudest: lambda: done.append("judge"))
    with model._given([torch.zeros(4000).as_subclass(OnGpu)]) as waves:
        done.append("pass")
    assert done == order and len(waves) == 1
    with pytest.raises(DaisyError, match="waveform 0 holds NaN"):
        judges()


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"padding": "publised"}, "padding is 'publised'. Use 'exact', 'published', 'formula'"),
        ({"granularity": "windows"}, "granularity is 'windows'"),
        ({"states": "lst"}, "states is 'lst'"),
        ({"layer": "2"}, "no layer '2'"),
        ({"layer": 2.5}, "no layer 2.5"),
        ({"layer": True}, "no layer True"),
        ({"threshold": "1"}, "threshold is '1'. Give it a number"),
        ({"budget": "0.6", "task": "sid"}, "budget is '0.6'"),
        ({"window": "60"}, "a window of '60' s"),
        ({"window": None}, "a window of None s"),
    ],
)
def test_what_is_not_there_is_refused(model, waves, asked, problem):
    with pytest.raises(DaisyError, match=re.escape(problem)):
        model(waves, **{"layer": 3, **asked})


def test_another_signal_is_that_of_the_calibration_or_of_the_callers_threshold(model, waves):
    asked = {"rho": 1.0, "strategy": "min-max", "task": "asr"}
    with pytest.raises(DaisyError, match="calibrated for the signal entropy, not for margin"):
        model(waves, **asked, signal="margin")
    ahead = model(waves, threshold=0.0, signal="margin").entropies
    assert all(0 < value <= 1 for row in ahead for value in row[:-1])
    mean = tuple(np.nanmean([row[:-1] + row[-2:-1] for row in ahead], axis=0).tolist())
    model.checkpoint.calibrations["asr"] = Calibration("midrange", mean, None, 0.2, {1.0: COUNTS}, "margin")
    tau = midrange(mean, 1.0)
    out = model(waves, **asked)
    assert out.exit_layer == model(waves, **asked, signal="margin").exit_layer
    rule = ExitRule(candidate_layers("min-max", COUNTS, 0.2), tau)
    assert out.exit_layer == [rule.layer(row) for row in ahead]
