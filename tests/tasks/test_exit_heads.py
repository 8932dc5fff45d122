"""Heads of tasks on single layers: linear, with the entropy of their own posterior by hand."""

from __future__ import annotations

import pytest
import torch

from daisy.errors import DaisyError
from daisy.tasks.asr import SpeechRecognition
from daisy.tasks.loading import task_class
from daisy.tasks.registry import TASKS
from daisy.tasks.sid import SpeakerIdentification

DIM = 6


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """In nats, term by term."""
    p = logits.double().softmax(-1)
    return -(p * p.log()).sum(-1)


def heads(task):
    torch.manual_seed(0)
    return task.exit_head(DIM).eval()


@torch.no_grad()
def test_speakers():
    task = SpeakerIdentification({}, ["ann", "ben", "carlo"])
    head, features, lengths = heads(task), torch.randn(2, 5, DIM), torch.tensor([5, 3])
    output = head(features, lengths)
    means = torch.stack([features[0].mean(0), features[1, :3].mean(0)])
    torch.testing.assert_close(output, means @ head.classifier.weight.T + head.classifier.bias)
    torch.testing.assert_close(task.uncertainty(output, lengths).double(), entropy(output))
    assert task.predict(output, lengths) == output.argmax(-1).tolist()
    assert head.macs(5) == 3 * DIM


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_characters(stride):
    """An utterance gets what it gets alone, whatever its batch mates: their steps do not count."""
    task = SpeechRecognition({"stride": stride}, list("abc"))
    head, features, lengths = heads(task), torch.randn(2, 7, DIM), torch.tensor([7, 4])
    output = head(features, lengths)
    steps = -(-lengths // stride)
    assert output.shape == (2, -(-7 // stride), 4) and head.macs(7) == -(-7 // stride) * 4 * DIM * stride
    found = task.uncertainty(output, lengths)
    for row, (length, count) in enumerate(zip(lengths.tolist(), steps.tolist(), strict=True)):
        alone = head(features[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], output[row, :count])
        torch.testing.assert_close(found[row].double(), entropy(alone[0]).mean())
    torch.testing.assert_close(output.exp().sum(-1), torch.ones(output.shape[:2]))


def test_the_registry_says_who_has_them():
    able = {name for name, entry in TASKS.items() if entry.exits is not None}
    assert able == {"sid", "asr", "ks", "pr"}
    for name in sorted(set(TASKS) - able):
        task = task_class(name)({"hidden": 4, "layers": 1, "dropout": 0.0}, [])
        for call in (lambda task=task: task.exit_head(4), lambda task=task: task.uncertainty(torch.zeros(1), None)):
            with pytest.raises(DaisyError, match=f"the task {name} has no heads on single layers"):
                call()
    for name in able:
        known = {"stride": 2, "end_marks": True, "normalise": "mean", "keywords": ["a"]}
        options = {option: known[option] for option in TASKS[name].exits}
        assert task_class(name)(options, ["a", "b"]).exit_head(4).macs(1) > 0, "the options that are named are enough"
