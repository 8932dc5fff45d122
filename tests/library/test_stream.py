"""A budget with a model: in the call, over a stream, in the bundle, by ONNX and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_library import COUNTS

import daisy
from daisy.cli.main import main
from daisy.errors import DaisyError
from daisy.exits.budget import Controller, kept, within
from daisy.exits.calibration import Calibration
from daisy.exits.rule import ExitRule
from daisy.features.measured import Measured, save_measured
from daisy.library.arithmetic import costs, spent
from daisy.library.bundle import with_spending

SPOKEN = Path(__file__).with_name("spoken_entropies.npz")
"""What the embedded model's branches say of 100 commands of the demo's test set, then of 100 in babble or white noise
at 0 dB, each with its number of frames: from a run's ``entropies`` and ``noise_entropies``."""


@pytest.fixture(scope="module")
def tiny() -> daisy.Daisy:
    return daisy.load("tiny")


@pytest.fixture
def model(checkpoint, waves, tmp_path) -> daisy.Daisy:
    """The golden model, with what thresholds spend on the golden recordings."""
    model = daisy.Daisy(checkpoint)
    table = np.array(model.all_layers(waves).entropies)
    frames = np.array([model.config.frames(len(wave)) for wave in waves])
    save_measured(tmp_path / "entropies.npz", Measured(table, frames))
    made = {"asr": Calibration("midrange", tuple(table.mean(0).tolist()), None, 0.2, {1.0: COUNTS})}
    checkpoint.calibrations = dict(with_spending(made, [tmp_path / "entropies.npz"], checkpoint, 1))
    return model


def shares(model: daisy.Daisy, waves, budget: float) -> float:
    """What a call with a budget spends, from the exits that it took."""
    rule = ExitRule(*model.exits(budget=budget, task="asr"))
    exits = model(waves, budget=budget, task="asr").exit_layer
    total = sum(spent(model.upstream(), rule, len(wave), k) for wave, k in zip(waves, exits, strict=True))
    return total / sum(model.config.macs(len(wave), model.layers) for wave in waves)


def test_a_call_spends_what_it_is_told_on_the_recordings_of_its_calibration(model, waves):
    """As nearly as a few recordings allow: a threshold between two that differ spends what the lower one does."""
    known = kept(model.calibrations["asr"], "asr")
    steps = -np.diff(known.spent)
    for budget in (known.spent[-1] + 0.01, 0.8, 0.9):
        assert abs(shares(model, waves, budget) - budget) <= steps.max() + 0.01
    assert shares(model, waves, 1.0) == 1 and model(waves, budget=1, task="asr").exit_layer == [6] * len(waves)
    (alone,) = model(waves[:1], budget=0.8, task="asr").exit_layer
    assert alone == model(waves, budget=0.8, task="asr").exit_layer[0], "the same beside others"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0.8}, r"a budget without a task. Say whose calibration, by task \(calibrated: asr\)"),
        ({"budget": 0.8, "task": "sid"}, "not calibrated for the task 'sid'"),
        ({"budget": 0.01, "task": "asr"}, "0.01 is below what stopping everybody at layer 1 costs"),
        ({"budget": 1.2, "task": "asr"}, "the budget is 1.2"),
        ({"budget": 0.8, "task": "asr", "layer": 2}, "a budget, and another way"),
        ({"budget": 0.8, "task": "asr", "rho": 1.0}, "a budget, and another way"),
    ],
)
def test_requests_that_cannot_be_served(model, waves, arguments, message):
    with pytest.raises(DaisyError, match=message):
        model(waves, **arguments)


def test_without_a_table_or_branches(model, waves):
    plain = daisy.Daisy(model.checkpoint)
    model.checkpoint.calibrations = {"asr": Calibration("midrange", (1.0,) * 6, None, 0.2, {1.0: COUNTS})}
    with pytest.raises(DaisyError, match="does not say what thresholds spend.*Make the model's file again"):
        plain.stream(0.8, "asr")
    model.checkpoint.branches = None
    with pytest.raises(DaisyError, match="no exit branches"):
        daisy.Daisy(model.checkpoint)(waves, budget=0.8, task="asr")


def test_a_stream_of_recordings_and_batches(model, waves):
    stream = model.stream(budget=0.8, task="asr")
    assert stream([]).exit_layer == [] and np.isnan(stream.share)
    first = stream(waves[:1])
    assert first.exit_layer == model(waves[:1], budget=0.8, task="asr").exit_layer, "nothing is owed at first"
    for wave in waves[1:]:
        stream([wave])
    assert abs(stream.share - 0.8) <= stream.bound
    batched = model.stream(budget=0.8, task="asr")
    batched(waves)
    assert batched.share == pytest.approx(shares(model, waves, 0.8))


@pytest.mark.parametrize("budget", [0.4, 0.6, 0.8])
def test_noise_comes_and_200_recordings_of_speech_stay_within_3_percent(tiny, budget):
    with np.load(SPOKEN) as file:
        entropies, frames = file["entropies"], file["frames"]
    assert len(entropies) == 200
    known, upstream = kept(tiny.calibrations["asr"], "asr"), tiny.upstream()
    asking, full = costs(upstream, frames, 1)
    lengths = [(int(count) - 1) * tiny.config.hop + tiny.config.receptive_field for count in frames]
    controller, alike = Controller(budget, known), ExitRule(*within(known, tiny.layers, budget))
    for row, samples, whole in zip(entropies, lengths, full, strict=True):
        rule = ExitRule(*within(known, tiny.layers, controller.asked))
        controller.note(spent(upstream, rule, samples, rule.layer(row)), whole)
        assert abs(controller.share - budget) <= controller.bound
    assert abs(controller.share - budget) < 0.03 * budget and controller.bound < 0.03
    exits = alike.layers(entropies[100:])
    unsteered = np.take_along_axis(asking[100:], exits[:, None] - 1, 1).sum() / full[100:].sum()
    assert abs(unsteered - budget) > 0.03 * budget, "one threshold does not hold it under noise"


def test_onnx_takes_it_the_same_way(model, waves, tmp_path):
    from daisy.library.onnx_runtime import OnnxDaisy

    (tmp_path / "daisy.json").write_text(
        json.dumps(
            {
                "layers": 6,
                "branches": True,
                "receptive_field": 400,
                "calibrations": {"asr": model.calibrations["asr"].plain()},
            }
        )
    )
    with pytest.raises(DaisyError, match="the budget is 2"):
        OnnxDaisy(tmp_path)(waves[0].numpy(), budget=2.0, task="asr")


def test_the_command(capsys, tmp_path):
    assert main(["budget", "tiny", "--target", "0.6"]) == 0
    out = capsys.readouterr().out
    assert "60% of the full model's arithmetic" in out and "1 to 12" in out and "cannot be said" in out
    found = []
    for target in ("0.5", "0.6", "0.7"):
        assert main(["budget", "tiny", "--target", target, "--task", "asr", "--json"]) == 0
        found += json.loads(capsys.readouterr().out)["tasks"]
    less, item, more = found
    assert less["threshold"] > item["threshold"] > more["threshold"], "the less is spent, the sooner it stops"
    assert item["candidates"] == list(range(1, 13)) and item["results"] is None
    assert main(["budget", "tiny", "--target", "0.1"]) == 1
    assert "below what stopping everybody at layer 1 costs" in capsys.readouterr().err
    assert main(["budget", "tiny", "--target", "0.6", "--run", str(tmp_path)]) == 1
    assert "no grid.csv" in capsys.readouterr().err
    assert main(["exits", "tiny", "--budget", "0.6", "--task", "asr"]) == 0
    assert f"threshold {item['threshold']:.3f} (task asr, a budget of 60%)" in capsys.readouterr().out
