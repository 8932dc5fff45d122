"""The noise study: exact ratios in the noisy test set, shared predictions, and claims and figures from its tables."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from daisy.common import audio
from daisy.common.columns import read_table, write_table
from daisy.corpora.table import Recording
from daisy.corpora.table import write_table as write_recordings
from daisy.corpora.utterances import Utterance, read_manifest, write_manifest
from daisy.downstream.model import Downstream, save_downstream
from daisy.downstream.scoring import scores
from daisy.downstream.split import Split
from daisy.errors import DaisyError
from daisy.evaluation.rows import EntropyRow
from daisy.exits.candidates import candidate_layers
from daisy.exits.cell import GridCell
from daisy.exits.method import Method
from daisy.exits.rule import ExitRule, all_candidates, histogram
from daisy.features.kept import Features
from daisy.features.measured import load_measured
from daisy.features.settings import View
from daisy.features.streamed import open_features
from daisy.noise import evaluate as noise_evaluate
from daisy.noise import noisy
from daisy.noise import tables as noise_tables
from daisy.noise.conditions import ConditionRow
from daisy.noise.rows import NoiseExitRow, NoiseGuardRow, NoiseWerRow
from daisy.report import noise_figures
from daisy.report.noise_claims import exits_later, noise_claims, withstands_noise
from daisy.report.noise_grid import exit_layers_of, read_noise, shown_cell, wer_of
from daisy.report.noise_plots import exits_figure, wer_figure
from daisy.report.noise_section import guard_sentence, lost_sentence, noise_section, white_sentence
from daisy.tasks.asr import SpeechRecognition

RNG = np.random.default_rng(0)
SETTINGS = {"seed": 1, "recordings": 3, "kinds": ["hum", "white"], "snr_db": [20, 5]}
OPTIONS = {
    "projection": 8,
    "hidden": 8,
    "layers": 1,
    "dropout": 0.0,
    "stride": 2,
    "specaugment": {"time_masks": 0, "time_frames": 1, "time_share": 0.0, "feature_masks": 0, "feature_dims": 1},
}


@pytest.fixture
def study(tmp_path):
    """A test set of five recordings, a noise corpus with train and test noise, and where the noisy set goes."""
    speech = []
    for number in range(5):
        speech.append(Utterance(f"s/{number}", f"s/{number}.flac", 8_000 + 400 * number, "s", "abba"))
        wave = 0.1 * RNG.standard_normal(speech[-1].samples)
        audio.write(tmp_path / "speech" / speech[-1].path, wave)
    write_manifest(tmp_path / "test.tsv", tmp_path / "speech", speech)
    hums = [Recording(f"hum/{part}", 16_000, "hum", split=part) for part in ("train", "test")]
    for item in hums:
        audio.write(tmp_path / f"noise/audio/{item.id}.flac", 0.1 * RNG.standard_normal(item.samples))
    write_recordings(tmp_path / "noise/recordings.csv", hums)
    return tmp_path


def make(study, out="noisy", **changes):
    noisy.main(
        [
            *("--settings", json.dumps(SETTINGS | changes), "--manifest", str(study / "test.tsv")),
            *("--noise", str(study / "noise/recordings.csv"), "--out", str(study / out)),
        ]
    )
    return read_manifest(study / out / "noisy.tsv"), read_table(ConditionRow, study / out / "conditions.csv")


def test_noisy_recordings_have_their_ratio(study):
    manifest, rows = make(study)
    assert [item.id for item in manifest.utterances] == [row.id for row in rows] and len(rows) == 3 * 5
    clean = {row.utterance: manifest.wave(place).numpy() for place, row in enumerate(rows) if row.kind == "clean"}
    assert len(clean) == 3
    for place, row in enumerate(rows):
        speech = clean[row.utterance].astype(np.float64)
        rest = manifest.wave(place).numpy() / row.scale - speech
        if row.snr_db is None:
            assert not rest.any()
            continue
        measured = 10 * np.log10(np.mean(speech**2) / np.mean(rest**2))
        assert measured == pytest.approx(row.snr_db, abs=0.01)
        assert row.noise == ("hum/test" if row.kind == "hum" else None)
        assert manifest.utterances[place].text == "abba"


def test_noisy_recordings_repeat_and_ratios_share_their_noise(study):
    first, rows = make(study)
    second, _ = make(study, "again")
    assert all(torch.equal(first.wave(place), second.wave(place)) for place in range(len(first)))
    waves = {(row.utterance, row.kind, row.snr_db): first.wave(i) / row.scale for i, row in enumerate(rows)}
    for utterance in {row.utterance for row in rows}:
        clean = waves[utterance, "clean", None]
        low, high = (waves[utterance, "hum", ratio] - clean for ratio in (5.0, 20.0))
        assert torch.corrcoef(torch.stack([low, high]))[0, 1] > 0.999


def test_noise_that_is_not_there(study):
    with pytest.raises(DaisyError, match="no test recording of the kind 'rain'; it has hum"):
        make(study, kinds=["rain"])


def test_a_silent_recording_is_named(study):
    audio.write(study / "speech/s/0.flac", np.zeros(8_000))
    with pytest.raises(DaisyError, match=r"s/0.flac.*the speech is silent"):
        make(study, recordings=5)


def small_split(count=6, layers=4, dim=8):
    """Random features of `count` utterances, and an untrained recogniser."""
    torch.manual_seed(0)
    task = SpeechRecognition(OPTIONS, ["a", "b"])
    frames = RNG.integers(10, 30, count)
    states = RNG.standard_normal((frames.sum(), layers + 1, dim)).astype(np.float32)
    features = Features(states, frames)
    return Downstream(task, layers, dim, "dynamic").eval(), Split(features, np.ones(count, int), ["ab a"] * count)


def test_shared_predictions_are_those_of_an_evaluation():
    model, split = small_split()
    entropies = RNG.random((6, 4))
    scorer = noise_evaluate.Scorer(model, split)
    for tau in (0.2, 0.5, 0.8):
        exits = ExitRule(all_candidates(1, 4), tau).layers(entropies)
        expected = scores(model, Split(split.features, exits, split.examples))
        assert scorer.scores(range(6), exits) == expected
        assert scorer.scores([4, 1], exits) == [expected[4], expected[1]]


def test_what_is_said_ends_with_the_utterance():
    task = SpeechRecognition(OPTIONS, ["a", "b"])
    best = torch.tensor([[1, 1, 0, 1, 2, 2], [2, 0, 1, 1, 1, 2]])
    output = torch.nn.functional.one_hot(best, 3).float()
    head = task.head(8)
    assert head.macs(11) == head.macs(12) < head.macs(13)
    assert task.predict(output, torch.tensor([12, 3])) == ["aab", "b"], "a frame of output for two of features"


def test_floor_reaches_from_training_to_inference(study):
    entropies = RNG.random((5, 4))
    free, floored = (ExitRule(all_candidates(floor, 4), 0.7).layers(entropies) for floor in (1, 3))
    assert free.min() < 3 <= floored.min() and np.array_equal(floored[free >= 3], free[free >= 3])
    for strategy in ("avg", "min-max", "threshold"):
        assert min(candidate_layers(strategy, histogram(floored, 4), 0.1)) >= 3
    with pytest.raises(DaisyError, match="a floor at layer 5 of a model of 4 layers"):
        all_candidates(5, 4)


def test_states_and_entropies_of_another_manifest(study, tmp_path):
    manifest = read_manifest(study / "test.tsv")
    np.save(tmp_path / "states.npy", np.zeros((4, 5, 8), np.float32))
    np.save(tmp_path / "frames.npy", np.ones(4, int))
    np.savez(tmp_path / "entropies.npz", entropies=np.zeros((4, 4)), frames=np.ones(4, int))
    with pytest.raises(DaisyError, match="states of 4 utterances for 5 recordings"):
        open_features(tmp_path / "states.npy", manifest, None, View("after-norm"))
    with pytest.raises(DaisyError, match="entropies of 4 utterances for 5 recordings"):
        load_measured(tmp_path / "entropies.npz", len(manifest))


def evaluated(folder, study, **changes):
    """Run the evaluation stage on the noisy set with made-up features; returns its folder."""
    manifest, rows = make(study)
    frames = np.full(len(rows), 12)
    model, _ = small_split()
    save_downstream(folder / "model.safetensors", model)
    np.save(folder / "states.npy", RNG.standard_normal((frames.sum(), 5, 8)).astype(np.float16))
    np.save(folder / "frames.npy", frames)
    np.savez(folder / "entropies.npz", frames=frames, entropies=RNG.random((len(rows), 4)))
    (folder / "exits.json").write_text(json.dumps({"tau": 0.5, "counts": [1, 1, 1, 0]}))
    settings = {
        "method": {"kind": "daisy", "rho": 1.0},
        "strategies": {"avg": 0.2, "min-max": 0.2},
        "floor": 1,
        "floors": [1, 3],
        "draws": 20,
        "seed": 1,
    }
    noise_evaluate.main(
        [
            *("--settings", json.dumps(settings | changes), "--manifest", str(study / "noisy/noisy.tsv")),
            *("--conditions", str(study / "noisy/conditions.csv"), "--states", str(folder / "states.npy")),
            *("--entropies", str(folder / "entropies.npz")),
            *("--exits", str(folder / "exits.json"), "--downstream", str(folder / "model.safetensors")),
            *("--out", str(folder / "asr/daisy")),
        ]
    )
    return folder / "asr/daisy", rows


def test_evaluation_stage(study, tmp_path):
    folder, rows = evaluated(tmp_path, study)
    exits = read_table(NoiseExitRow, folder / "exits.csv")
    assert len(exits) == 3 * len(rows) and {row.strategy for row in exits} == {"avg", "min-max", "all"}
    assert {row.exit_layer for row in exits if row.strategy == "avg"} == {2}
    assert max(row.exit_layer for row in exits if row.strategy == "min-max") == 3
    wer = read_table(NoiseWerRow, folder / "wer.csv")
    assert len(wer) == 3 * 5 and all(row.ci_low <= row.wer <= row.ci_high for row in wer)
    guard = read_table(NoiseGuardRow, folder / "guard.csv")
    assert {row.kind for row in guard} == {"clean", "white"} and len(guard) == 2 * 3
    free = {(row.kind, row.snr_db): row.wer for row in wer if row.strategy == "all"}
    for row in guard:
        assert row.mean_exit_layer >= row.floor
        assert row.floor > 1 or row.wer == free[row.kind, row.snr_db]


def exit_rows(means, kind="music", ratios=(None, 20.0, 10.0, 0.0), **options):
    """Two utterances per condition whose exits are the given layers."""
    options = {"rho": 1.0, "strategy": "min-max"} | options
    return [
        NoiseExitRow("clean" if ratio is None else kind, ratio, options["rho"], options["strategy"], name, layer)
        for ratio, pair in zip(ratios, means, strict=True)
        for name, layer in zip("ab", pair, strict=True)
    ]


def wer_rows(values, method="daisy", kind="music", ratios=(None, 20.0, 10.0, 0.0)):
    cell = (1.0, "min-max") if method == "daisy" else (None, None)
    return [
        NoiseWerRow("clean" if ratio is None else kind, ratio, method, *cell, value, value - 2, value + 2)
        for ratio, value in zip(ratios, values, strict=True)
    ]


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ([(4, 5), (5, 5), (6, 6), (6, 6)], "yes"),
        ([(4, 5), (5, 5), (5, 6), (2, 2)], "yes"),
        ([(4, 5), (5, 5), (5, 5), (9, 9)], "no"),
        ([(4, 5), (4, 5), (6, 6), (6, 6)], "no"),
        ([(4, 5), (7, 7), (6, 6), (6, 6)], "no"),
    ],
)
def test_claim_about_exits(means, verdict):
    claim = exits_later(exit_rows(means), "asr", "music", 12)
    assert claim.holds == verdict and "4.50 on clean speech" in claim.numbers


def test_claim_about_exits_needs_its_conditions():
    rows = exit_rows([(4, 5), (6, 6)], ratios=(None, 10.0))
    assert exits_later(rows, "asr", "music", 12).holds == "cannot be told"
    assert exits_later(exit_rows([(4, 5)] * 4, rho=0.7), "asr", "music", 12).holds == "cannot be told"


def test_claim_about_error_rates():
    layer6, method = wer_rows([9.0, 20.0, 30.0, 60.0], "layer6"), Method("layer", layer=6)
    better, worse = wer_rows([10.0, 20.0, 29.0, 59.0]), wer_rows([5.0, 22.1, 29.0, 59.0])
    claim = withstands_noise(better + layer6, "music", method)
    assert claim.holds == "yes" and "29.0 against 30.0 at 10 dB" in claim.numbers, "clean speech is another claim"
    assert withstands_noise(worse + layer6, "music", method).holds == "no"
    assert withstands_noise(better, "music", method).holds == "cannot be told"


def write_study(folder, tasks=("asr", "sid")):
    """Made-up results of a study: two kinds of noise, every cell that the report asks for."""
    exits, wer = [], []
    for kind in ("music", "white"):
        for strategy in ("min-max", "all"):
            exits += exit_rows([(3, 5), (5, 6), (7, 8), (9, 11)], kind, strategy=strategy)
        for method, shift in (("daisy", 0.0), ("layer6", 5.0), ("full", -1.0)):
            wer += wer_rows([10 + shift, 20 + shift, 40 + shift, 70 + shift], method, kind)
    guard = [
        NoiseGuardRow(kind, ratio, 1.0, floor, 4.0 + floor, wer_value - floor, wer_value - floor - 2, wer_value)
        for kind, ratio, wer_value in (("clean", None, 10.0), ("white", 0.0, 70.0))
        for floor in (1, 6)
    ]
    for task in tasks:
        for name, kind, rows in (
            ("exits", NoiseExitRow, list(dict.fromkeys(exits))),
            ("wer", NoiseWerRow, list(dict.fromkeys(wer)) if task == "asr" else []),
            ("guard", NoiseGuardRow, guard if task == "asr" else []),
        ):
            write_table(kind, folder / f"noise/{task}/daisy/{name}.csv", rows[::-1])
    studies = [word for task in tasks for word in ("--study", task, str(folder / f"noise/{task}/daisy"))]
    settings = json.dumps({"tasks": tasks})
    noise_tables.main(["--settings", settings, *studies, "--out", str(folder / "tables")])
    return read_noise(folder / "tables", tasks)


def test_tables(tmp_path):
    results = write_study(tmp_path)
    first = {path.name: path.read_text().splitlines()[0] for path in (tmp_path / "tables").glob("*.csv")}
    assert first == {
        "noise.csv": "kind,snr_db,rho,strategy,utterance,exit_layer",
        "noise_sid.csv": "kind,snr_db,rho,strategy,utterance,exit_layer",
        "noise_wer.csv": "kind,snr_db,method,rho,strategy,wer,ci_low,ci_high",
        "noise_guard.csv": "kind,snr_db,rho,floor,mean_exit_layer,wer,ci_low,ci_high",
    }
    conditions = list(dict.fromkeys((row.kind, row.snr_db) for row in results.exits["asr"]))
    noisy_ratios = (20.0, 10.0, 0.0)
    assert conditions == [("clean", None), *((kind, ratio) for kind in ("music", "white") for ratio in noisy_ratios)]


def test_claims_of_a_study(tmp_path):
    found = noise_claims(write_study(tmp_path), [Method("layer", layer=6)], 12)
    assert [claim.holds for claim in found] == ["yes"] * 3, "white noise is no claim of the paper"


def test_figures_show_the_tables(tmp_path):
    results = write_study(tmp_path)
    panels = exits_figure(results.exits, 12).axes
    assert [axes.get_title(loc="left") or axes.get_title() for axes in panels] == ["Music", "White noise", "", ""]
    for axes, (task, kind) in zip(panels, [(t, k) for t in ("asr", "sid") for k in ("music", "white")], strict=True):
        data = [exit_layers_of(results.exits[task], kind, ratio, 1.0, "min-max") for ratio in (None, 20.0, 10.0, 0.0)]
        upper, lower, mean = (list(line.get_ydata()) for line in axes.lines)
        assert (upper, lower) == ([max(part) for part in data], [min(part) for part in data])
        assert mean == [sum(part) / len(part) for part in data] == [4.0, 5.5, 7.5, 10.0]
        assert len(axes.collections) == 4
        if task == "sid":  # the lowest panels have the labels of those above
            assert [label.get_text() for label in axes.get_xticklabels()] == ["clean", "20", "10", "0"]
    for axes in wer_figure(results.wer, 1.0, "min-max").axes:
        lines = {line.get_marker(): list(line.get_ydata()) for line in axes.lines}
        assert lines == {"o": [10, 20, 40, 70], "x": [15, 25, 45, 75], "*": [9, 19, 39, 69]}


def test_figure_files_repeat(tmp_path):
    write_study(tmp_path, ("asr",))
    write_table(EntropyRow, tmp_path / "tables/entropy.csv", [EntropyRow("asr", layer, 1.0) for layer in range(1, 13)])
    arguments = ["--settings", '{"tasks": ["asr"]}', "--tables", str(tmp_path / "tables"), "--out", str(tmp_path)]
    noise_figures.main(arguments)
    names = [f"{name}.{ending}" for name in ("fig4_noise_exits", "fig5_noise_wer") for ending in ("png", "svg")]
    first = [(tmp_path / name).read_bytes() for name in names]
    noise_figures.main(arguments)
    assert [(tmp_path / name).read_bytes() for name in names] == first
    write_table(NoiseWerRow, tmp_path / "tables/noise_wer.csv", [])
    with pytest.raises(DaisyError, match="a table of the noise study is empty"):
        noise_figures.main(arguments)


def test_the_shown_cell():
    assert shown_cell(exit_rows([(1, 1)] * 4)) == (1.0, "min-max")
    both = [*exit_rows([(1, 1)] * 4, rho=0.5, strategy="all"), *exit_rows([(1, 1)] * 4, rho=0.7, strategy="all")]
    assert shown_cell(both) == (0.7, "all")


def test_error_rates_go_from_clean_to_noisy():
    rows = wer_rows([9.0, 20.0, 30.0, 60.0], "layer6")
    shuffled = [rows[place] for place in (2, 0, 3, 1)]
    assert wer_of(shuffled, "music", GridCell(Method("layer", layer=6))) == rows


def test_report_sentences(tmp_path):
    results = write_study(tmp_path)
    sentence = white_sentence(results)
    assert "at 0 dB" in sentence and "4.00 to 10.00 at ρ 1.0 (music 10.00, lowest exit 3 and 9)" in sentence
    assert lost_sentence(results.wer) == ""
    poor = [dataclasses.replace(row, wer=95.0) if row.snr_db == 0 else row for row in results.wer]
    assert "In 2 of 6 noisy conditions" in lost_sentence(poor)
    helped = guard_sentence(results.guard)
    assert "at layer 6 moves" in helped and "from 69.0% to 64.0%" in helped and "from 9.0% to 4.0%" in helped
    section = noise_section(results)
    assert [len(item["rows"]) for item in section["tables"]] == [7, 7, 7, 4]
    assert guard_sentence([row for row in results.guard if row.kind == "clean"]) == ""
