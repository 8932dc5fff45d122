"""Who exits where in training: every utterance, or a forward pass as one, as in the published code."""

from __future__ import annotations

import json

import numpy as np
import pytest
from project import GOLDEN

from daisy.corpora.utterances import Manifest, Utterance
from daisy.downstream.exits import EachItsOwn, WholeBatch
from daisy.exits.rule import ExitRule, all_candidates
from daisy.features.entropies import measure
from daisy.features.measured import Measured
from daisy.features.settings import EntropiesSettings
from daisy.hubert.checkpoint import load
from daisy.training.workers import Workers


@pytest.mark.parametrize("position", ["after", "before"])
def test_the_published_batch_exits_as_one(position):
    """The golden batch, whose one exit the published code gave for the padded batch, from cached entropies."""
    name = f"daisy_tiny_{position}_norm"
    numbers = json.loads((GOLDEN / f"{name}.json").read_text())
    model = load(GOLDEN / f"{name}.pt")
    (case,) = (case for case in numbers["cases"] if case["mode"] == "train" and len(case["utterances"]) > 1)
    from daisy.common import audio

    utterances = tuple(Utterance(path, path, len(audio.read(GOLDEN / path)), "", "") for path in numbers["recordings"])
    measured = measure(model, Manifest(GOLDEN, utterances), EntropiesSettings(60.0), "golden")
    exits = WholeBatch(measured, ExitRule(all_candidates(1, 6), numbers["threshold"]))
    assert exits.of_step(case["utterances"]) == dict.fromkeys(case["utterances"], case["exit_layer"])
    assert exits.counts([case["utterances"]] * 3) == [3 * (k == case["exit_layer"]) for k in range(1, 7)]


def by_hand(entropies, frames, batch, tau):
    """The rule of the published code, written out: the mean over all valid frames of a batch, layer by layer."""
    for k in range(entropies.shape[1]):
        total = sum(float(entropies[i, k]) * int(frames[i]) for i in batch)
        if total / sum(int(frames[i]) for i in batch) <= tau:
            return k + 1
    return entropies.shape[1]


@pytest.mark.parametrize("passes", [1, 3])
def test_every_pass_of_every_step_is_counted(passes):
    rng = np.random.default_rng(4)
    measured = Measured(rng.random((20, 5)), rng.integers(10, 200, 20))
    exits = WholeBatch(measured, ExitRule(all_candidates(1, 5), 0.4), passes)
    batches = [rng.choice(20, 7, replace=False).tolist() for _ in range(40)]
    expected, layers = np.zeros(5, int), []
    for batch in batches:
        found = exits.of_step(batch)
        # One process's passes, as gradients are accumulated.
        for part in Workers().share(batch, passes):
            layer = by_hand(measured.entropies, measured.frames, part, 0.4)
            assert {found[index] for index in part} == {layer}
            expected[layer - 1] += 1
            layers.append(layer)
    assert exits.counts(batches) == expected.tolist() and len(set(layers)) > 2
    assert sum(expected) == 40 * passes


def test_utterances_for_themselves_are_counted_once():
    exits = EachItsOwn(np.array([3, 1, 3]), 4)
    assert exits.of_step([2, 1]) == {2: 3, 1: 1} and exits.counts([[0, 1]] * 9) == [1, 0, 2, 0]
