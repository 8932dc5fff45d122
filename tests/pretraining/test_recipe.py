"""The recipe: settings, stages that are done once, and a whole run on stand-ins for the synthesisers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from test_synthetic_speech import NOVELS, Readers

from daisy.common.files import read_csv
from daisy.corpora.table import Recording, write_table
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load
from daisy.pretraining import export, phones, probe, recipe, speech, texts, train
from daisy.targets import label

TINY = """
speech: {hours: 0.015, voices: {flite/slt: 2, flite/rms: 1, pico/us: 1}, shard: 4, dev_every: 4}
model: {layers: 2, dim: 16, ffn_dim: 32, heads: 1, channels: 8, final_dim: 8}
iterations:
  - train: &train {steps: 6, warmup: 2, learning_rate: 0.001, batch_seconds: 8, log_every: 2, augment: {noise: 0.0}}
  - {layer: 1, clusters: 7, utterances: 1.0, share: 1.0, train: {<<: *train, steps: 4}}
probe: {steps: 3, batch_size: 4, recordings: 12}
card: {title: Tiny, tool: a test, targets: two tones, data: tones, licence: none, made_by: hand}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where the recipe lies, with synthesisers that need no packages."""
    monkeypatch.setattr(speech, "fetch", lambda *_: None)
    monkeypatch.setattr(speech, "Readers", lambda _: Readers())
    monkeypatch.setattr(texts, "novels", lambda _: NOVELS)
    (tmp_path / "recipe.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture
def called(monkeypatch) -> list[str]:
    """Names of the stages that ran, in order."""
    names: list[str] = []
    for module in (speech, train, label, probe, export):

        def recorded(argv, main=module.main, module=module):
            names.append(module.__name__.rpartition(".")[2])
            main(argv)

        monkeypatch.setattr(module, "main", recorded)
    return names


def run(folder: Path, *changes: str, more: Sequence[str] = ()) -> None:
    paths = ["--config", str(folder / "recipe.yaml"), "--folder", str(folder / "out"), "--cache", str(folder)]
    recipe.main([*paths, "--threads", "1", *more, "--set", *changes])


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_recipe_makes_a_model_once(folder, called, monkeypatch):
    run(folder)
    assert called == ["speech", "train", "probe", "label", "label", "train", "probe", "export"]
    model = load(folder / "out/hubert.safetensors")
    assert model.encoder.config.dim == 16 and model.head is not None and len(model.head.label_embs_concat) == 7
    card = (folder / "out/hubert.md").read_text()
    assert "| targets | two tones |" in card and "over 7 classes" in card and "| 2 |" in card
    assert "pico" in (folder / "out/2/train.csv").read_text(), "clusters are of all speech"
    assert "pico" not in (folder / "out/speech/train.csv").read_text()
    called.clear()
    run(folder)
    assert called == []
    run(folder, "iterations.1.train.steps=5")
    assert called == ["train", "probe", "export"]
    called.clear()
    (folder / "out/hubert.safetensors").unlink()
    run(folder, "iterations.1.train.steps=5")
    assert called == ["export"]
    called.clear()
    run(folder, "iterations.1.train.steps=5", "card.title=Other")
    assert called == ["export"] and (folder / "out/hubert.md").read_text().startswith("# Other")
    called.clear()
    (folder / "first.pt").write_bytes((folder / "out/1/checkpoint.pt").read_bytes())
    run(folder, "iterations.1.train.steps=5", "card.title=Other", more=["--start", str(folder / "first.pt")])
    assert called == ["train", "probe", "label", "label", "train", "probe", "export"], "all but speech starts elsewhere"


def test_recipe_goes_on_after_a_fault(folder, called, monkeypatch):
    main = export.main

    def failing(argv):
        raise DaisyError("no space", fix="Make some")

    monkeypatch.setattr(export, "main", failing)
    with pytest.raises(DaisyError, match="no space"):
        run(folder)
    called.clear()
    monkeypatch.setattr(export, "main", main)
    run(folder)
    assert called == ["export"]


def test_real_speech_and_further_probes(folder, called, spoken):
    manifest = str(spoken / "train.tsv")
    (spoken / "audio").symlink_to(spoken)
    parts = ("train", "test")
    write_table(spoken / "noise.csv", [Recording(str(n), n + 1, "", split=part) for n, part in enumerate(parts)])
    with pytest.raises(DaisyError, match="promises|manifest says"):
        run(folder, "iterations.0.train.augment.noise=1.0", more=["--noise", str(spoken / "noise.csv")])
    run(folder, more=["--recordings", manifest, "--probe", "real", manifest, manifest])
    assert called.count("probe") == 4 and called.count("speech") == 1
    assert "speaker1" in (folder / "out/2/train.csv").read_text()
    assert "(real, " in (folder / "out/hubert.md").read_text()


def test_recordings_without_phones_join_with_those_that_are_heard_in_them(folder, called, spoken):
    changes = ["iterations.1.layer=0", "iterations.1.own=true"]
    with pytest.raises(DaisyError, match="iteration 1 is on phones of the one before"):
        run(folder, "iterations.0.own=true")
    with pytest.raises(DaisyError, match="iteration 2 is on clusters of layer 1"):
        run(folder, "iterations.1.own=true")
    assert called == [], "before anything is made"
    run(folder, *changes, more=["--recordings", str(spoken / "train.tsv")])
    assert called == ["speech", "train", "probe", "label", "label", "train", "probe", "export"]
    joined, out = (folder / "out/2/train.csv").read_text(), folder / "out"
    assert "pico" in joined and "speaker1" in joined
    every = [out / "speech/train.km", out / "2/heard-1.km", out / "2/heard-2.km"]
    labels = {f"{n}/{place}": line for n, file in enumerate(every) for place, line in enumerate(lines(file))}
    tables = [out / "speech/train.csv", out / "speech/unlabelled.csv", spoken / "train.csv"]
    places = {f"{n}/{row['id']}": f"{n}/{place}" for n, t in enumerate(tables) for place, row in enumerate(read_csv(t))}
    rows = read_csv(out / "2/train.csv")
    assert len(rows) == len(labels), "each recording once, with its own labels"
    assert [labels[places[row["id"]]] for row in rows] == lines(out / "2/train.km")
    model = load(out / "hubert.safetensors")
    assert model.head is not None and len(model.head.label_embs_concat) == phones.CLASSES


def test_a_model_that_is_not_probed_has_a_card_without_probes(folder, called):
    run(folder, "iterations.0.probed=false", "iterations.1.probed=false")
    assert "probe" not in called and "Linear probes" not in (folder / "out/hubert.md").read_text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("speech.hour=1", "unknown key 'hour'"),
        ("iterations.0.layer=1", "no layer to cluster"),
        ("iterations.0.train.steps=many", "not a whole number"),
        ("iterations.9.train.steps=1", "not a recipe"),
    ],
)
def test_wrong_recipes_are_told(folder, change, problem):
    with pytest.raises(DaisyError, match=problem):
        run(folder, change)


@pytest.mark.parametrize("name", ["phones", "phones_gpu"])
def test_recipes_of_the_project_are_whole(name):
    found = recipe.read_settings(Path("config/pretrain") / f"{name}.yaml")
    assert found.model.layers == 12 and found.iterations[0].layer == 0
    for iteration in found.iterations:
        recipe.stage.build(recipe.TrainSettings, {"classes": 2, **iteration.train}, "train")
    speech.check(recipe.stage.build(recipe.SpeechSettings, found.speech, "speech"))
