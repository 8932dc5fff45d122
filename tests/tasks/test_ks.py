"""Keyword spotting: which class a text is of, and a training on balanced batches that goes on where it stopped."""

from __future__ import annotations

import pytest
import torch
from runners import arguments

from daisy.common import audio
from daisy.corpora.utterances import Manifest, Utterance, write_manifest
from daisy.downstream import train
from daisy.downstream.trainer import Trainer
from daisy.errors import DaisyError
from daisy.features import states
from daisy.tasks.ks import KeywordSpotting
from daisy.tasks.loading import restore

OPTIONS = {"projection": 8, "keywords": ["yes", "no"]}


def manifest(tmp_path, *texts):
    items = [Utterance(f"u{place}", "a.wav", 16_000, "", text) for place, text in enumerate(texts)]
    return Manifest(tmp_path, tuple(items))


def test_classes_are_the_keywords_and_what_is_none(tmp_path):
    said = manifest(tmp_path, "yes", "say no now", "bed", "_unknown_", "_silence_", "no no")
    task = KeywordSpotting(OPTIONS, KeywordSpotting.learn_vocabulary(said))
    assert task.classes == ["yes", "no", "_unknown_", "_silence_"]
    assert task.examples(said) == [0, 1, 2, 2, 3, 1]
    torch.manual_seed(0)
    head, features, lengths = task.head(6), torch.randn(2, 5, 6), torch.tensor([5, 3])
    output = head(features, lengths)
    alone = head(features[1:, :3], lengths[1:])
    assert output.shape == (2, 4) and task.exit_head(6).macs(9) == 4 * 6
    torch.testing.assert_close(output[1:], alone)
    assert task.score(task.predict(output, lengths)[0], int(output[0].argmax())) == {"accuracy": (1.0, 1.0)}
    assert restore(task.metadata()).classes == task.classes


def test_faults_are_named(tmp_path):
    with pytest.raises(
        DaisyError, match=r"no recording of the training set holds the keyword 'no'.*ks\.options\.keywords"
    ):
        KeywordSpotting(OPTIONS, KeywordSpotting.learn_vocabulary(manifest(tmp_path, "yes", "nowhere")))
    task = KeywordSpotting(OPTIONS, ["no", "yes"])
    with pytest.raises(DaisyError, match="u1 holds the keywords yes and no"):
        task.examples(manifest(tmp_path, "yes", "no yes"))
    with pytest.raises(DaisyError, match="u0 has no text"):
        task.examples(manifest(tmp_path, ""))


@pytest.fixture
def training(tmp_path, spoken, waves):
    """What trains a model in a folder below: words of three classes, one of them rare."""
    items = []
    for number, wave in enumerate([*waves, *waves[:3]]):
        audio.write(tmp_path / f"words/{number}.flac", wave[: 8_000 + 400 * number].numpy())
        text = ("yes", "no", "yes", "bed", "yes")[number % 5]
        items.append(Utterance(f"w{number}", f"{number}.flac", min(len(wave), 8_000 + 400 * number), "", text))
    write_manifest(tmp_path / "words.tsv", tmp_path / "words", items)
    view = {"view": {"states": "after-norm", "pooled": True}, "storage": "float32", "batch_seconds": 9.0}
    given = {"checkpoint": spoken / "daisy.pt", "manifest": tmp_path / "words.tsv", "out": tmp_path / "states.npy"}
    states.main(arguments(view, **given))
    chosen = {"task": "ks", "options": OPTIONS, "fusion": "dynamic", "method": {"kind": "full"}, "batches": "balanced"}
    chosen |= {"steps": 8, "batch_size": 6, "optimizer": "adam", "learning_rate": 0.02, "schedule": "constant"}
    chosen |= {"clip": 1.0, "dev_every": 4, "seed": 1, "save_every": 3, "states": "after-norm"}
    files = {f"{part}_manifest": tmp_path / "words.tsv" for part in ("train", "dev")}
    files |= {f"{part}_states": tmp_path / "states.npy" for part in ("train", "dev")}

    def run(name):
        out = tmp_path / name
        results = {"out": out / "model.safetensors", "history": out / "history.csv", "exits": out / "exits.json"}
        train.main(arguments(chosen, **files, **results, state=out / "state"))
        return [(out / file.name).read_bytes() for file in results.values()]

    return run


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(training, monkeypatch):
    whole = training("whole")
    step = Trainer.step

    def broken(self, parts, number):
        if number == 6:
            raise DaisyError("the power is cut", fix="Wait")
        return step(self, parts, number)

    monkeypatch.setattr(Trainer, "step", broken)
    with pytest.raises(DaisyError, match="the power is cut"):
        training("stopped")
    monkeypatch.setattr(Trainer, "step", step)
    assert training("stopped") == whole
