"""The oracle: the earliest exit that is as good as the full model, by hand, and what it costs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from daisy.corpora.utterances import read_manifest
from daisy.downstream.cells import Cell
from daisy.downstream.model import Downstream
from daisy.downstream.split import Split
from daisy.downstream.system import macs
from daisy.errors import DaisyError
from daisy.evaluation.oracle import earliest, kept_scores, oracle, read_scores
from daisy.evaluation.outcomes import check_equal
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.method import Method
from daisy.exits.rule import ExitRule
from daisy.features.kept import Features
from daisy.features.seen import normalise
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.tasks.base import Metric
from daisy.tasks.sid import SpeakerIdentification

WER, ACCURACY = Metric("wer", "Word error rate (%)", False, 100.0), Metric("accuracy", "Accuracy (%)", True, 100.0)


@pytest.mark.parametrize(
    ("errors", "full", "layer"),
    [
        ([3, 2, 1, 0], 1, 3),
        ([3, 2, 1, 0], 2, 2),
        ([1, 3, 3, 0], 1, 1),
        ([0, 3, 3, 3], 1, 1),
        ([3, 3, 3, 3], 0, 1),
        ([3, 2, 3, 2], 0, 2),
    ],
)
def test_the_earliest_layer_that_is_as_good_or_else_the_best(errors, full, layer):
    words = 4.0
    assert earliest([(error, words) for error in errors], (full, words), WER) == layer
    right = [(words - error, words) for error in errors]
    assert earliest(right, (words - full, words), ACCURACY) == layer, "whatever the metric's direction"


def test_what_cannot_be_judged_runs_to_the_end():
    assert earliest([(1.0, 1.0), (1.0, 1.0)], (0.0, 0.0), ACCURACY) == 2
    assert earliest([(0.0, 0.0), (1.0, 1.0), (1.0, 1.0)], (1.0, 1.0), ACCURACY) == 2


def test_scores_of_the_full_model_read_back(tmp_path):
    task, path = SpeakerIdentification({"projection": 4}, ["a", "b"]), tmp_path / "full.json"
    scored = [{"accuracy": (1.0, 1.0)}, {"accuracy": (0.0, 1.0)}]
    path.write_text(json.dumps({"task": "sid", **kept_scores(task, scored)}))
    assert read_scores(path, ACCURACY, 2) == [(1.0, 1.0), (0.0, 1.0)]
    with pytest.raises(DaisyError, match="scores of 2 utterances for 3"):
        read_scores(path, ACCURACY, 3)
    path.write_text('{"task": "sid"}')
    with pytest.raises(DaisyError, match="no accuracy per utterance"):
        read_scores(path, ACCURACY, 2)


def test_a_whole_test_set(spoken, checkpoint):
    """Every utterance leaves where it is first right, real runs agree, and no branch is asked."""
    torch.manual_seed(0)
    manifest = read_manifest(spoken / "train.tsv")
    task, upstream = SpeakerIdentification({"projection": 8}, ["speaker0", "speaker1"]), EarlyExitHubert(checkpoint)
    model = Downstream(task, 6, checkpoint.encoder.config.dim, "dynamic-s").eval()
    # Layers that say one speaker and the other in turn, so that each is right for one half of the recordings.
    model.fusion.scalars.data = torch.randn_like(model.fusion.scalars) * 9
    runs = upstream.all_layers([manifest.wave(index) for index in range(6)])
    states = torch.stack([normalise(item.states).mean(1) for item in runs])
    split = Split(Features(states.numpy(), np.ones(6, int)), np.full(6, 6), task.examples(manifest))
    settings = EvaluationSettings(Method("daisy", 1.0), {}, 20, 2, 1, 1, 1)
    said = np.array(
        [task.predict(model(states[:, None], torch.full((6,), k), torch.ones(6)), torch.ones(6)) for k in range(1, 7)]
    )
    full = [(1.0, 1.0)] * 4 + [(0.0, 1.0)] * 2
    expected = []
    for index, (score, example) in enumerate(zip(full, split.examples, strict=True)):
        good = [k for k in range(1, 7) if (said[k - 1, index] == example) >= score[0]]
        expected.append(good[0] if good else 6)
    found = oracle(Cell(model, ExitRule((1, 6), 0.4)), split, full, {}, settings)
    assert found.split.exits.tolist() == expected and expected[4:] == [1, 1]
    right = [float(said[k - 1, index] == split.examples[index]) for index, k in enumerate(expected)]
    assert [score["accuracy"][0] for score in found.scores] == right
    assert found.values["accuracy"][0] == pytest.approx(100 * np.mean(right))
    check_equal(upstream, found, manifest, range(6))
    samples, config = manifest.utterances[1].samples, checkpoint.encoder.config
    work = macs(upstream, found.at(1), samples, expected[1])
    assert work == config.macs(samples, expected[1]) + model.macs(config.frames(samples)), "nobody is asked"
