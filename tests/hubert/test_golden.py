"""Agreement with the numbers of the authors' implementation (tests/golden/README.md)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from project import GOLDEN

from daisy.common import audio
from daisy.exits.candidates import candidate_layers
from daisy.exits.rule import histogram
from daisy.exits.thresholds import midrange
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert


@pytest.fixture(params=["after_norm", "before_norm"])
def golden(request):
    name = f"daisy_tiny_{request.param}"
    numbers = json.loads((GOLDEN / f"{name}.json").read_text())
    waves = [audio.read(GOLDEN / file) for file in numbers["recordings"]]
    return EarlyExitHubert(load(GOLDEN / f"{name}.pt")), numbers, waves, np.load(GOLDEN / f"{name}.npz")


def test_hidden_states(golden):
    model, _, waves, states = golden
    (item,) = model.all_layers(waves[:1])
    for k in range(model.layers + 1):
        expected = states[f"hidden_{k}"]
        error = np.abs(item.states[k].numpy() - expected).max() / np.abs(expected).max()
        assert error < 1e-4, k


def test_entropies_and_threshold(golden):
    model, numbers, waves, _ = golden
    entropies = [model.all_layers([wave])[0].entropies for wave in waves]
    np.testing.assert_allclose(entropies, numbers["entropies_single"], rtol=1e-4)
    mean = np.mean(entropies, axis=0).tolist()
    np.testing.assert_allclose(mean, numbers["mean_entropy"], rtol=1e-4)
    assert midrange(mean, 1.0) == pytest.approx(numbers["midrange_tau"], rel=1e-4)


def test_histogram_and_candidates(golden):
    model, numbers, waves, _ = golden
    every = range(1, model.layers + 1)
    exits = [model.run([wave], candidates=every, tau=numbers["threshold"])[0].layer for wave in waves]
    counts = histogram(exits, model.layers)
    assert counts == numbers["train_histogram"]
    for strategy, layers in numbers["candidate_layers"].items():
        assert list(candidate_layers(strategy, counts, numbers["inf_threshold"])) == layers


def test_exit_layer_of_every_case(golden):
    """Train and eval mode, every strategy and rho; several utterances are one padded batch, one decision."""
    model, numbers, waves, _ = golden
    assert numbers["cases"]
    for case in numbers["cases"]:
        if case["mode"] == "train":
            candidates = list(range(1, model.layers + 1))
        else:
            candidates = numbers["candidate_layers"][case["strategy"]]
        chosen = [waves[index] for index in case["utterances"]]
        items = model.run(
            chosen,
            candidates=candidates,
            tau=case.get("rho", 1.0) * numbers["threshold"],
            granularity="batch",
            padding="published",
        )
        assert {item.layer for item in items} == {case["exit_layer"]}, case
