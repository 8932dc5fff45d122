"""Exits trained per task: heads that see their own layer alone, thresholds, and real runs that stop by them."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from project import GOLDEN
from runners import failed, finished, stage

from daisy.corpora.utterances import read_manifest
from daisy.downstream.exits import EachItsOwn
from daisy.downstream.model import save_downstream
from daisy.downstream.settings import TaskExitsSettings
from daisy.downstream.split import Split
from daisy.downstream.system import Cell, macs, predict
from daisy.downstream.task_exits import TaskExits, entropies, load_task_exits, scores_by_layer
from daisy.downstream.train_task_exits import ExitsTrainer
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.features.kept import Features
from daisy.features.measured import load_measured
from daisy.features.seen import normalise
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.every_layer import every_layer
from daisy.tasks.asr import SpeechRecognition
from daisy.tasks.base import set_metric
from daisy.tasks.sid import SpeakerIdentification
from daisy.training.workers import Workers

LAYERS, DIM = 6, 64
SID = SpeakerIdentification({}, ["speaker0", "speaker1"])
ASR = SpeechRecognition({"stride": 2}, list(" abcdefghijklmnopqrstuvwxyz"))


def model_of(task) -> TaskExits:
    torch.manual_seed(1)
    model = TaskExits(task, LAYERS, DIM)
    for parameter in model.parameters():
        # Heads that are surer of themselves than fresh ones, and each of another layer's opinion.
        parameter.data.mul_(6)
    return model.eval()


def split_of(task, checkpoint, manifest) -> Split:
    """The manifest's states as the feature stage keeps them."""
    runs = EarlyExitHubert(checkpoint).all_layers([manifest.wave(index) for index in range(len(manifest))])
    states = [normalise(item.states).transpose(0, 1) for item in runs]
    if task is SID:
        states = [item.mean(0, keepdim=True) for item in states]
    frames = np.array([len(item) for item in states])
    features = Features(torch.cat(states).numpy(), frames)
    return Split(features, np.full(len(frames), LAYERS), task.examples(manifest))


@pytest.fixture(params=[SID, ASR], ids=["sid", "asr"])
def run(request, spoken, checkpoint):
    task, manifest = request.param, read_manifest(spoken / "train.tsv")
    return model_of(task), split_of(task, checkpoint, manifest), manifest, EarlyExitHubert(checkpoint)


@torch.no_grad()
def test_every_utterance_gets_the_head_of_its_exit(run):
    """And a head sees no other layer."""
    model, split, _, _ = run
    exits = torch.tensor([1, 3, 6, 2, 3, 5])
    states, _, frames, _ = split.batch(range(6), exits.tolist())
    every = model.every_layer(states, frames)
    assert len(every) == LAYERS
    torch.testing.assert_close(model(states, exits, frames), every[exits - 1, torch.arange(6)])
    states[:, :, 4] = torch.randn_like(states[:, :, 4])
    changed = [k for k, output in enumerate(model.every_layer(states, frames), 1) if not output.equal(every[k - 1])]
    assert changed == [4]


def test_real_runs_measure_what_the_shared_features_say(run):
    model, split, manifest, upstream = run
    measured = entropies(model, split).numpy()
    assert measured.shape == (6, LAYERS) and (measured > 0).all()
    waves = [manifest.wave(index) for index in range(6)]
    never = upstream.run(waves, candidates=range(1, LAYERS + 1), tau=-1.0, judge=model)
    found = np.array([item.entropies for item in never])
    np.testing.assert_allclose(found[:, :-1], measured[:, :-1], rtol=1e-3, atol=1e-4)
    assert np.isnan(found[:, -1]).all(), "nobody is asked at the last candidate"


@pytest.mark.parametrize("kind", ["before-norm", "s3prl"])
def test_heads_are_asked_about_the_states_that_they_read(spoken, checkpoint, kind):
    """Whatever the position of the branches."""
    torch.manual_seed(1)
    model, wave = TaskExits(SID, LAYERS, DIM, kind).eval(), read_manifest(spoken / "train.tsv").wave(0)
    (item,) = every_layer(checkpoint.encoder, [wave], kind)
    states = normalise(item.states).mean(1)[None, None]
    with torch.no_grad():
        outputs = model.every_layer(states, torch.tensor([1]))
    expected = [float(SID.uncertainty(output, torch.tensor([1]))) for output in outputs]
    upstream = EarlyExitHubert(dataclasses.replace(checkpoint, branches=None))
    (found,) = upstream.run([wave], candidates=range(1, LAYERS + 1), tau=-1.0, states=kind, judge=model)
    assert found.entropies[:-1] == pytest.approx(expected[:-1], rel=1e-4)


def test_real_runs_stop_and_predict_by_them(run):
    model, split, manifest, upstream = run
    measured = entropies(model, split).numpy()
    # Half of the utterances find a candidate, the others go to the last one.
    rule = ExitRule((1, 2, 4, 6), float(np.quantile(measured[:, [0, 1, 3]].min(1), 0.5)))
    exits = rule.layers(measured)
    assert len(set(exits.tolist())) > 1
    states, layers, frames, _ = split.batch(range(6), exits.tolist())
    expected = model.task.predict(model(states, layers, frames), frames)
    found = [predict(upstream, Cell(model, rule, model), manifest.wave(index)) for index in range(6)]
    assert found == list(zip(expected, exits.tolist(), strict=True))


def test_work_counts_the_heads_that_were_asked(run):
    model, _, manifest, upstream = run
    samples = manifest.utterances[0].samples
    config = upstream.encoder.config
    head = model.macs(config.frames(samples))
    asked = Cell(model, ExitRule((1, 3, 6)), model)
    assert macs(upstream, asked, samples, 3) == config.macs(samples, 3) + (2 + 1) * head
    assert macs(upstream, asked, samples, 6) == config.macs(samples, 6) + (2 + 1) * head
    assert macs(upstream, Cell(model, ExitRule((6,)), model), samples, 6) == config.macs(samples, 6) + head


def settings(task, **changes) -> dict[str, object]:
    given = {
        "task": task.name,
        "options": task.options,
        "states": "after-norm",
        "steps": 6,
        "batch_size": 3,
        "optimizer": "adam",
    }
    given |= {"learning_rate": 0.01, "schedule": "linear", "clip": 1.0, "dev_every": 3, "seed": 5, "save_every": 4}
    return given | changes


def test_the_loss_is_the_mean_over_heads(run):
    model, split, _, _ = run
    given = TaskExitsSettings(**settings(model.task))
    trainer = ExitsTrainer(model, split, split, EachItsOwn(np.full(len(split.exits), LAYERS), LAYERS), given, Workers())
    indices = [0, 2, 5]
    states, _, frames, examples = split.batch(indices)
    outputs = model.every_layer(states, frames)
    by_hand = sum(model.task.loss(output, frames, examples) for output in outputs) / LAYERS
    ((share, part),) = trainer.read(1, indices)
    assert share == 1
    torch.testing.assert_close(trainer.loss(part), by_hand)


def test_dev_scores_are_of_every_head(run):
    model, split, _, _ = run
    (metric,) = model.task.metrics
    given = TaskExitsSettings(**settings(model.task))
    trainer = ExitsTrainer(model, split, split, EachItsOwn(np.full(len(split.exits), LAYERS), LAYERS), given, Workers())
    by_hand = []
    for k in range(1, LAYERS + 1):
        states, layers, frames, examples = split.batch(range(6), [k] * 6)
        predictions = model.task.predict(model(states, layers, frames), frames)
        scored = [model.task.score(*pair) for pair in zip(predictions, examples, strict=True)]
        by_hand.append(set_metric(scored, metric))
    assert [set_metric(scored, metric) for scored in scores_by_layer(model, split)] == pytest.approx(by_hand)
    assert trainer.dev_value() == pytest.approx(np.mean(by_hand))


def test_training_and_thresholds(speech):
    """The stages: heads learn the speakers, and thresholds and exits follow from the entropies that they leave."""
    extracted = {"view": {"states": "after-norm", "pooled": True}, "storage": "float32", "batch_seconds": 9.0}
    files = {"manifest": speech / "train.tsv", "out": speech / "states.npy"}
    finished(stage("features.states", extracted, checkpoint=GOLDEN / "daisy_tiny_after_norm.pt", **files))
    options = {f"{part}-manifest": speech / "train.tsv" for part in ("train", "dev")}
    options |= {f"{part}-states": speech / "states.npy" for part in ("train", "dev")}
    options |= {"state": speech / "state", "out": speech / "model.safetensors", "history": speech / "history.csv"}
    options["entropies"] = speech / "entropies.npz"
    finished(stage("downstream.train_task_exits", settings(SID, steps=120, dev_every=60), **options))
    with open(speech / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["60", "120"] and float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[-1]["dev_accuracy"]) > 85 and not (speech / "state").exists()
    measured = load_measured(speech / "entropies.npz").entropies
    assert measured.shape == (6, LAYERS) and (measured > 0).all() and (measured < np.log(2)).all()
    given = {"task": "sid", "rho": [0.9, 1.1], "floor": 2}
    finished(stage("downstream.task_thresholds", given, entropies=speech / "entropies.npz", out=speech / "exits.json"))
    found = json.loads((speech / "exits.json").read_text())
    mean = measured.mean(0)
    assert found["mean_entropy"] == pytest.approx(mean.tolist())
    for scale, rho in zip(found["scales"], (0.9, 1.1), strict=True):
        tau = rho * (mean.max() + mean.min()) / 2
        assert (scale["rho"], scale["tau"]) == (rho, pytest.approx(tau))
        exits = [next((k for k in range(2, 6) if row[k - 1] <= tau), 6) for row in measured.tolist()]
        assert scale["counts"] == [exits.count(k) for k in range(1, 7)]
    np.savez(speech / "entropies.npz", entropies=np.full((3, 6), np.nan), frames=np.ones(3))
    line = failed(
        stage("downstream.task_thresholds", given, entropies=speech / "entropies.npz", out=speech / "exits.json")
    )
    assert "entropies.npz: no entropies" in line and "Train the task's exits again" in line


def test_what_is_saved_reads_back(tmp_path):
    model = model_of(ASR)
    save_downstream(tmp_path / "model.safetensors", model)
    read = load_task_exits(tmp_path / "model.safetensors")
    assert read.task.metadata() == ASR.metadata() and not read.training
    assert all(value.equal(read.state_dict()[name]) for name, value in model.state_dict().items())
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(DaisyError, match="no downstream model"):
        load_task_exits(tmp_path / "model.safetensors")
