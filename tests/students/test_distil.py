"""Distillation of a student: what it begins with, its loss, that it learns, goes on after an end, and is a model."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from models import assert_same
from project import GOLDEN
from runners import arguments

import daisy
from daisy.corpora.utterances import read_manifest
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint, load, state_dict
from daisy.hubert.every_layer import every_layer
from daisy.hubert.windows import Windows
from daisy.students import distil
from daisy.students.model import Student, losses, predicted_layers, states

SETTINGS = {
    **{"layers": 2, "heads": 3, "front_end": True, "steps": 6, "warmup": 0.3, "batch_seconds": 6.0},
    **{"learning_rate": 0.002, "seed": 7, "save_every": 2},
}
TEACHER = GOLDEN / "daisy_tiny_after_norm.pt"


def distilled(speech: Path, name: str, **changes: object) -> Path:
    """Run the stage; the folder of what it makes."""
    out = speech / name
    files = {"out": out / "student.safetensors", "history": out / "history.csv", "state": out / "state"}
    distil.main(arguments(SETTINGS | changes, checkpoint=TEACHER, manifest=speech / "train.tsv", **files))
    return out


def whole(folder: Path) -> Checkpoint:
    return load(folder / "student.safetensors")


def test_layers_that_are_predicted():
    assert predicted_layers(12, 3) == [4, 8, 12] and predicted_layers(24, 2) == [12, 24]
    assert predicted_layers(6, 3) == [2, 4, 6] and predicted_layers(7, 1) == [7]
    with pytest.raises(DaisyError, match="3 heads for a teacher of 2 layers"):
        predicted_layers(2, 3)


def test_it_begins_as_the_teacher_s_first_layers(checkpoint, waves):
    teacher = checkpoint.encoder
    student = Student(teacher, 2, 3, True)
    with torch.no_grad():
        (own,) = states(student.hubert, waves, [2])
        wanted = torch.cat([item.states[2] for item in every_layer(teacher, waves, "after-norm", last=2)])
        assert torch.allclose(own, wanted, atol=1e-5)
        assert student(waves).shape == (3, *own.shape)
    with pytest.raises(DaisyError, match="a student of 7 layers for a teacher of 6"):
        Student(teacher, 7, 3, True)


def test_a_step_sees_a_stretch_of_a_long_recording(spoken, monkeypatch):
    """With windows of a second, a student hears no recording for longer."""
    monkeypatch.setattr("daisy.training.stretches.Windows", lambda: Windows(1.0, 0.2))
    heard: list[int] = []
    forward = Student.forward
    monkeypatch.setattr(
        Student, "forward", lambda self, waves: (heard.extend(map(len, waves)), forward(self, waves))[1]
    )
    assert max(item.samples for item in read_manifest(spoken / "train.tsv").utterances) > 20_000
    distilled(spoken, "stretches", steps=2, accumulate=2)
    assert heard and max(heard) <= 49 * 320 + 400 + 320


def test_loss_by_the_paper_s_formula():
    torch.manual_seed(1)
    predicted, wanted = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    distance, cosine = losses(predicted, wanted)
    for n in range(2):
        apart, angles = 0.0, 0.0
        for one, other in zip(predicted[n].tolist(), wanted[n].tolist(), strict=True):
            apart += sum(abs(x - y) for x, y in zip(one, other, strict=True)) / 4
            product = sum(x * y for x, y in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)
            angles -= math.log(1 / (1 + math.exp(-product)))
        assert distance[n].item() == pytest.approx(apart / 5, rel=1e-5)
        assert cosine[n].item() == pytest.approx(angles / 5, rel=1e-5)


def test_it_learns_and_is_a_model_without_heads(speech, waves):
    out = distilled(speech, "long", steps=20)
    with open(out / "history.csv", newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert len(rows) == 20 and set(rows[0]) >= {"step", "loss", "distance_2", "distance_6", "cosine_4"}
    assert sum(row["loss"] for row in rows[-5:]) < 0.9 * sum(row["loss"] for row in rows[:5])
    for row in rows:
        parts = [row["distance_2"] + row["cosine_2"], row["distance_4"] + row["cosine_4"]]
        assert row["loss"] == pytest.approx((sum(parts) + row["distance_6"] + row["cosine_6"]) / 3, rel=1e-5)
    student, teacher = whole(out), load(TEACHER)
    assert student.encoder.config.layers == 2 and student.branches is None and student.position == "after-norm"
    first = "feature_extractor.conv_layers.0.0.weight"
    assert not torch.equal(state_dict(student)[first], state_dict(teacher)[first])
    assert len(daisy.load(out / "student.safetensors").all_layers(waves[:1]).features[0]) == 3


def test_the_front_end_may_stay_the_teacher_s(speech):
    own, given = state_dict(whole(distilled(speech, "still", front_end=False))), state_dict(load(TEACHER))
    kept = [name for name in own if name.startswith("feature_extractor")]
    assert kept and all(torch.equal(own[name], given[name]) for name in kept)


def test_parts_of_a_batch_give_what_the_whole_gives(speech):
    one, parts = whole(distilled(speech, "one", steps=3)), whole(distilled(speech, "parts", steps=3, accumulate=2))
    for name, value in state_dict(one).items():
        assert torch.allclose(value, state_dict(parts)[name], atol=2e-4), name


def test_it_goes_on_where_it_was_ended(speech, monkeypatch):
    undisturbed = distilled(speech, "undisturbed")
    update = distil.Distillation.update

    def ended(self: distil.Distillation, step: int, parts: list) -> object:
        if step == 5:
            raise KeyboardInterrupt
        return update(self, step, parts)

    monkeypatch.setattr(distil.Distillation, "update", ended)
    with pytest.raises(KeyboardInterrupt):
        distilled(speech, "ended")
    assert (speech / "ended/state/state.pt").exists() and not (speech / "ended/student.safetensors").exists()
    monkeypatch.setattr(distil.Distillation, "update", update)
    again = distilled(speech, "ended")
    assert_same(whole(undisturbed), whole(again))
    assert (undisturbed / "history.csv").read_text() == (again / "history.csv").read_text()
    assert not (again / "state").exists()
