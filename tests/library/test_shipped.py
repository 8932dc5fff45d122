"""What ships with the package: that it belongs together, is small, loads by name, and is from a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

import daisy
from daisy.common import audio
from daisy.common.contents import digest
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.downstream.model import Downstream, save_downstream
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.exits.candidates import STRATEGIES
from daisy.hubert.checkpoint import load, save
from daisy.library import ship, shipped
from daisy.tasks.loading import task_class
from daisy.workflow.config import resolve

WEIGHTS, EXITS = shipped.files("tiny")


@pytest.fixture(scope="module")
def tiny() -> daisy.Daisy:
    return daisy.load("tiny")


def test_it_belongs_together(tiny):
    origin = shipped.origin("tiny")
    assert origin.weights == digest(WEIGHTS) and origin.weights in WEIGHTS.with_suffix(".md").read_text()
    assert EXITS.stat().st_size < 1.5e6 and shipped.SENTENCE.stat().st_size < 1e5
    plain = load(WEIGHTS).encoder.state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in tiny.checkpoint.encoder.state_dict().items())
    layers, classes, dim = tiny.checkpoint.branches.shape
    assert (layers, dim) == (tiny.layers, tiny.dim) and classes == origin.config["targets"]["clusters"]


def test_it_is_of_the_demo():
    """Whoever changes how the demo's exits come about makes them anew."""
    config, told = resolve(yaml.safe_load(Path("config/config.yaml").read_text())), shipped.origin("tiny").config
    assert config["upstream"]["checkpoint"] == f"daisy/models/{WEIGHTS.name}" and config["seed"] == told["seed"]
    for part, key in (
        ("targets", "kind"),
        ("targets", "layer"),
        ("targets", "clusters"),
        ("branches", "position"),
        ("branches", "steps"),
        ("branches", "learning_rate"),
        ("thresholds", "rho"),
        ("thresholds", "rule"),
        ("thresholds", "floor"),
    ):
        assert told[part][key] == config[part][key], f"{part}.{key}: make a run, then `make ship`"


def test_it_gives_what_the_run_gave(tiny):
    (found,) = tiny.all_layers([audio.read(shipped.SENTENCE)]).entropies
    assert found == pytest.approx(shipped.origin("tiny").sentence, abs=1e-4)


def test_every_cell_is_calibrated(tiny):
    assert set(tiny.calibrations) == {"asr", "sid", "se", "ss"}
    wave = audio.read(shipped.SENTENCE)
    for task, calibration in tiny.calibrations.items():
        for rho in calibration.counts:
            for strategy in STRATEGIES:
                candidates, tau = tiny.exits(rho=rho, strategy=strategy, task=task)
                assert candidates and min(calibration.mean_entropy) * rho < tau < max(calibration.mean_entropy)
    out = tiny([wave], rho=1.0, strategy="min-max", task="asr")
    assert out.features[0].shape == (out.exit_layer[0] + 1, tiny.config.frames(len(wave)), tiny.dim)


def test_the_sentence_says_whose_it_is():
    with soundfile.SoundFile(shipped.SENTENCE) as file:
        assert file.artist == "Allison Smith" and file.license.startswith("CC-BY-SA 3.0")
        assert (file.samplerate, file.channels) == (16_000, 1)


def test_names_and_paths(tmp_path, monkeypatch, checkpoint):
    with pytest.raises(DaisyError, match=r"no shipped model 'tony'.*a model that ships \(tiny\)"):
        daisy.load("tony")
    for path in ("tony.pt", "some/tiny"):
        with pytest.raises(DaisyError, match="the checkpoint does not exist"):
            daisy.load(path)
    monkeypatch.chdir(tmp_path)
    save("tiny", checkpoint, "daisy")
    assert daisy.load("tiny").layers == checkpoint.encoder.config.layers != 12, "what lies there comes first"


def test_other_weights(tmp_path):
    for path in (WEIGHTS, EXITS):
        shutil.copy(path, tmp_path)
    copy = tmp_path / WEIGHTS.name
    copy.write_bytes(copy.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(DaisyError, match=r"these exits belong to the weights \w{12}, and .*make ship"):
        shipped.read_shipped("tiny", tmp_path)


@pytest.fixture
def run(tmp_path, tiny) -> Path:
    """A run's folder, as far as shipping looks at it, with branches of its own."""
    results = tmp_path / "results/mine"
    (results / "model").mkdir(parents=True)
    config = yaml.safe_load(Path("config/config.yaml").read_text()) | {"run": "mine"}
    (results / "config.yaml").write_text(yaml.safe_dump(config))
    bundle = shipped.read_shipped("tiny")
    assert bundle.branches is not None
    bundle.branches.weight.data *= 0.5
    bundle.calibrations = {"asr": Calibration("midrange", (1.0,) * 12, None, 0.2, {1.0: (0, 1) * 6})}
    save(results / "model/daisy.safetensors", bundle, "safetensors")
    return results


def test_shipping_a_run(tmp_path, run, capsys):
    shutil.copy(WEIGHTS, tmp_path)
    assert ship.main([str(run), "--folder", str(tmp_path)]) == 0
    assert "kB, calibrated for asr" in capsys.readouterr().out
    first = (tmp_path / EXITS.name).read_bytes()
    bundle, made = load(run / "model/daisy.safetensors"), shipped.read_shipped("tiny", tmp_path)
    assert bundle.branches is not None and made.branches is not None
    assert torch.equal(made.branches.weight, bundle.branches.weight) and made.calibrations == bundle.calibrations
    assert made.position == bundle.position and shipped.origin("tiny", tmp_path).run == "mine"
    ship.ship(run, tmp_path)
    assert (tmp_path / EXITS.name).read_bytes() == first


def test_what_was_trained_on_the_sentence_does_not_ship(tmp_path, run):
    shutil.copy(WEIGHTS, tmp_path)
    samples = len(audio.read(shipped.SENTENCE))
    soundfile.write(tmp_path / "other.flac", np.zeros(samples, dtype=np.float32), 16_000)
    shutil.copy(shipped.SENTENCE, tmp_path / "same.flac")
    (run / "manifests/speech").mkdir(parents=True)
    table = run / "manifests/speech/train.tsv"
    write_manifest(table, tmp_path, [Utterance("other", "other.flac", samples)])
    ship.ship(run, tmp_path)
    write_manifest(table, tmp_path, [Utterance(name, f"{name}.flac", samples) for name in ("other", "same")])
    with pytest.raises(DaisyError, match="trained on same, which is the sentence that ships"):
        ship.ship(run, tmp_path)


def test_a_runs_heads_ship_with_its_exits(tmp_path, run):
    shutil.copy(WEIGHTS, tmp_path)
    bundle = load(run / "model/daisy.safetensors")
    file = run / "downstream/sid/seed1337/daisy-rho1/model.safetensors"
    file.parent.mkdir(parents=True)
    task = task_class("sid")({"projection": 8}, ["allison", "june"])
    save_downstream(file, Downstream(task, bundle.encoder.config.layers, bundle.encoder.config.dim, "dynamic"))
    ship.ship(run, tmp_path)
    heads = shipped.heads("tiny", tmp_path)
    assert list(heads) == ["sid"] and heads["sid"].read_bytes() == file.read_bytes()
    with open(heads["sid"], "ab") as head:
        head.write(b" ")
    with pytest.raises(DaisyError, match=r"the head of sid is not that of the exits' run.*make ship"):
        shipped.heads("tiny", tmp_path)
    file.unlink()
    ship.ship(run, tmp_path)
    assert shipped.heads("tiny", tmp_path) == {} and not heads["sid"].exists()


def test_a_run_that_cannot_be_shipped(tmp_path, run, checkpoint, capsys):
    (tmp_path / WEIGHTS.name).touch()
    save(tmp_path / WEIGHTS.name, checkpoint, "safetensors")
    assert ship.main([str(run), "--folder", str(tmp_path)]) == 1
    assert "hubert_tiny.safetensors, is none that lies in" in capsys.readouterr().err
    (run / "model/daisy.safetensors").unlink()
    assert ship.main([str(run)]) == 1 and "the run has no bundle" in capsys.readouterr().err
