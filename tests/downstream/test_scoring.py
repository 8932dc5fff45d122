"""Scores of a split: each utterance and exit once, in several processes as in one, and clear errors from them."""

from __future__ import annotations

import os
import pickle
import signal
import sys

import numpy as np
import pytest
import torch

from daisy.common.batches import groups
from daisy.common.forked import forked
from daisy.downstream.model import Downstream
from daisy.downstream.scoring import judge, scores
from daisy.downstream.split import Split
from daisy.errors import DaisyError, WriteError
from daisy.features.kept import Features
from daisy.tasks.masking import Sources
from daisy.tasks.ss import SpeechSeparation

LAYERS, DIM = 4, 8


@pytest.fixture
def enhanced():
    """A downstream model whose scores take signals, and a split of seven utterances."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    task = SpeechSeparation({"hidden": 4, "layers": 1, "dropout": 0.0}, [])
    frames = rng.integers(20, 40, 7)
    features = Features(rng.standard_normal((frames.sum(), LAYERS + 1, DIM)).astype(np.float32), frames)
    examples = []
    for count in frames.tolist():
        references = torch.randn(2, count * 320 + 80)
        examples.append(Sources(references.sum(0), references))
    exits = rng.integers(1, LAYERS + 1, 7)
    return Downstream(task, LAYERS, DIM, "dynamic").eval(), Split(
        features, exits, examples, [example.mixture for example in examples]
    )


def test_processes_change_no_score(enhanced):
    model, split = enhanced
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = scores(model, split)
        judged = {}
        judge(model, split, enumerate(split.exits.tolist()), judged, processes=3)
        assert [judged[pair] for pair in enumerate(split.exits.tolist())] == alone
    finally:
        torch.set_num_threads(threads)
    assert len({score["si_sdri"] for score in alone}) == 7


def test_what_is_known_is_not_judged_again(enhanced, monkeypatch):
    model, split = enhanced
    calls = []
    judge = model.task.score
    monkeypatch.setattr(model.task, "score", lambda *pair: calls.append(1) or judge(*pair))
    judged = {}
    first = scores(model, split, [5, 2, 5], judged=judged)
    assert len(calls) == 2 and first[0] == first[2]
    assert scores(model, split, judged=judged)[5] == first[0] and len(calls) == 7


def test_items_keep_their_order():
    for processes in (1, 2, 5, 40):
        assert forked(lambda item: item * item, range(11), processes) == [item * item for item in range(11)]
    assert forked(abs, [], 4) == []


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")
def test_errors_come_through():
    def fail(item):
        if item == 3:
            raise DaisyError("bad", fix="Mend it", file="x.wav")
        return os.getpid()

    assert os.getpid() not in forked(fail, [0, 1, 2], 3)
    with pytest.raises(DaisyError, match=r"x\.wav: bad\. Mend it\.") as caught:
        forked(fail, range(6), 2)
    assert caught.value.file == "x.wav"
    with pytest.raises(DaisyError, match="status -9"):
        forked(lambda item: os.kill(os.getpid(), signal.SIGKILL), [1, 2], 2)


def test_an_error_survives_a_pickle():
    error = pickle.loads(pickle.dumps(WriteError("full", fix="Make room", file="y")))
    assert type(error) is WriteError and (error.problem, error.fix, error.file) == ("full", "Make room", "y")


def test_batches_of_few():
    found = groups([1, 8, 7, 8, 8, 7], 30, 0.25, 3)
    assert found == [[1, 3, 4], [2, 5], [0]]
    assert groups([4, 3], 8, 0.125) == [[0, 1]], "padding of just the share is no waste"
