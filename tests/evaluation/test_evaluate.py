"""The evaluation stage: it finds out when real runs differ from the shared features, and its intervals are right."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from daisy.corpora.utterances import read_manifest
from daisy.downstream.model import Downstream
from daisy.downstream.split import Split
from daisy.downstream.system import Cell, predict
from daisy.errors import DaisyError
from daisy.evaluation.bootstrap import interval
from daisy.evaluation.outcomes import Outcome, check_equal
from daisy.exits.rule import ExitRule
from daisy.features.kept import Features
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.tasks.base import Metric
from daisy.tasks.sid import SpeakerIdentification


@pytest.fixture
def run(spoken, checkpoint):
    """A model, what it gives for the six recordings of a manifest, and the manifest."""
    torch.manual_seed(0)
    manifest = read_manifest(spoken / "train.tsv")
    task = SpeakerIdentification({"projection": 8}, ["speaker0", "speaker1"])
    upstream = EarlyExitHubert(checkpoint)
    model = Downstream(task, 6, checkpoint.encoder.config.dim, "dynamic").eval()
    cell = Cell(model, ExitRule((2, 4), 0.0))
    examples = task.examples(manifest)
    found = [predict(upstream, cell, manifest.wave(index)) for index in range(len(manifest))]
    features = Features(np.zeros((0, 7, 64)), np.ones(6, int))
    split = Split(features, np.array([layer for _, layer in found]), examples)
    scores = [task.score(said, example) for (said, _), example in zip(found, examples, strict=True)]
    return upstream, Outcome(cell, split, scores, {}), manifest


def elsewhere(outcome: Outcome, count: int) -> Outcome:
    """The same, but the first recordings are said to stop at another layer."""
    exits = outcome.split.exits.copy()
    exits[:count] = 1
    return dataclasses.replace(outcome, split=dataclasses.replace(outcome.split, exits=exits))


def otherwise(outcome: Outcome, count: int) -> Outcome:
    """The same, but the first recordings are said to have scored otherwise."""
    wrong = [{"accuracy": (1.0 - score["accuracy"][0], 1.0)} for score in outcome.scores[:count]]
    return dataclasses.replace(outcome, scores=[*wrong, *outcome.scores[count:]])


def test_real_runs_that_say_the_same(run):
    check_equal(*run, range(6))


@pytest.mark.parametrize("change", [elsewhere, otherwise])
def test_one_recording_may_differ_and_two_may_not(run, change):
    upstream, outcome, manifest = run
    check_equal(upstream, change(outcome, 1), manifest, range(6))
    with pytest.raises(DaisyError, match=r"2 of 6 recordings stop elsewhere or score otherwise.* u0 for one"):
        check_equal(upstream, change(outcome, 2), manifest, range(6))
    check_equal(upstream, change(outcome, 2), manifest, range(2, 6))


def test_of_a_hundred_recordings_two_may_differ(run):
    upstream, outcome, manifest = run
    indices = [0, 1, 2] + [3, 4, 5] * 33
    check_equal(upstream, elsewhere(outcome, 2), manifest, indices)
    with pytest.raises(DaisyError, match="3 of 102"):
        check_equal(upstream, elsewhere(outcome, 3), manifest, indices)


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_intervals_by_hand(level):
    rng = np.random.default_rng(3)
    scores = [{"wer": (float(rng.integers(5)), float(rng.integers(3, 9)))} for _ in range(11)]
    metric = Metric("wer", "Word error rate (%)", False, 100.0)
    digits = hashlib.sha256(b"7\x1fbootstrap").digest()[:8]
    draws = np.random.default_rng(int.from_bytes(digits, "little")).integers(0, 11, (40, 11))
    values = []
    for draw in draws:
        wrong = sum(scores[index]["wer"][0] for index in draw)
        values.append(100 * wrong / sum(scores[index]["wer"][1] for index in draw))
    expected = np.percentile(values, [50 - 50 * level, 50 + 50 * level])
    found = interval(scores, metric, draws=40, seed=7, level=level)
    assert found == pytest.approx(expected, rel=1e-12) and found[0] < found[1]
    assert interval(scores, metric, draws=40, seed=8, level=level) != found


def test_an_interval_of_nothing_that_counts():
    assert interval([{"m": (0.0, 0.0)}] * 3, Metric("m", "M", True, 1.0), draws=5, seed=1) == (0.0, 0.0)
