"""The nano run: the whole workflow on a few dozen real recordings, and what users rely on in its outputs."""

from __future__ import annotations

import collections
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from project import ROOT

from daisy.common import audio
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.features.measured import load_measured
from daisy.hubert.checkpoint import load, save, state_dict
from daisy.library import ship, shipped
from daisy.library.model import Daisy
from daisy.workflow.efficiency import efficiency, render

TASKS = ("asr", "se", "sid", "ss")
MIXED = ("se", "ss")
HIGHER = {"accuracy", "pesq", "stoi", "si_sdri"}
GRID = [
    "task",
    "method",
    "rho",
    "strategy",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "higher_is_better",
    "n_utterances",
    "mean_exit_layer",
    "macs_per_second",
    "rtf",
    "speedup_vs_full",
]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_second_run_has_nothing_to_do(project, nano):
    outcome = project.run()
    assert "Nothing to be done" in outcome.stdout + outcome.stderr


def test_grid(nano):
    rows = table(nano / "tables/grid.csv")
    assert list(rows[0]) == GRID
    cells = {(row["task"], row["method"], row["rho"], row["strategy"]) for row in rows}
    expected = set()
    for task in TASKS:
        expected |= {(task, "full", "", ""), (task, "layer6", "", "")}
        expected |= {(task, "daisy", r, s) for r in ("0.76", "1.0") for s in ("avg", "min-max", "threshold")}
        expected |= {(task, "input", "", "")} if task in MIXED else set()
        if task not in MIXED:
            expected |= {(task, "task-ee", r, s) for r in ("0.76", "1.0") for s in ("avg", "min-max", "threshold")}
            expected |= {(task, "oracle", r, "") for r in ("0.76", "1.0")}
    assert cells == expected
    for row in rows:
        assert float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"])
        assert row["higher_is_better"] == ("true" if row["metric"] in HIGHER else "false")
        if row["method"] == "input":
            continue
        assert 1 <= float(row["mean_exit_layer"]) <= 12
        assert float(row["rtf"]) > 0 and float(row["macs_per_second"]) > 0 and float(row["speedup_vs_full"]) > 0
    fixed = {row["method"]: float(row["mean_exit_layer"]) for row in rows if not row["rho"]}
    assert fixed == {"full": 12, "layer6": 6, "input": 0}
    metrics = {task: list(dict.fromkeys(row["metric"] for row in rows if row["task"] == task)) for task in TASKS}
    assert metrics == {"asr": ["wer"], "se": ["pesq", "stoi"], "sid": ["accuracy"], "ss": ["si_sdri"]}


def test_table1_says_what_the_grid_says(nano):
    lines = {(row["method"], row["rho"], row["strategy"]): row for row in table(nano / "tables/table1.csv")}
    for row in table(nano / "tables/grid.csv"):
        line = lines[row["method"], row["rho"], row["strategy"]]
        assert line[f"{row['task']}_{row['metric']}"] == row["value"]
        if row["method"] != "input":
            assert line[f"{row['task']}_speedup_vs_full"] == row["speedup_vs_full"]
    assert lines["input", "", ""]["sid_accuracy"] == lines["input", "", ""]["se_rtf"] == ""


def test_work_follows_exits(nano):
    """Fewer layers are fewer operations, whoever measures."""
    for task in TASKS:
        rows = {row["method"]: row for row in table(nano / "tables/grid.csv") if row["task"] == task}
        assert float(rows["layer6"]["macs_per_second"]) < float(rows["full"]["macs_per_second"])


def test_entropy_and_exits(nano):
    entropy = table(nano / "tables/entropy.csv")
    assert list(entropy[0]) == ["task", "layer", "mean_entropy"]
    assert len(entropy) == 4 * 12 and all(0 < float(row["mean_entropy"]) < 2.8 for row in entropy)
    exits = table(nano / "tables/exits.csv")
    assert list(exits[0]) == ["task", "method", "rho", "strategy", "layer", "count"]
    tests = {row["task"]: int(row["n_utterances"]) for row in table(nano / "tables/grid.csv")}
    counted: dict[tuple[str, ...], int] = {}
    for row in exits:
        key = (row["task"], row["method"], row["rho"], row["strategy"])
        counted[key] = counted.get(key, 0) + int(row["count"])
    assert len(counted) == 4 * 8 + 2 * (6 + 2) and all(count == tests[key[0]] for key, count in counted.items())


def test_thresholds_follow_from_the_entropies(nano):
    for task in TASKS:
        for name, rho in (("rho0.76", 0.76), ("rho1", 1.0)):
            item = json.loads((nano / f"calibration/{task}/{name}.json").read_text())
            mean = item["mean_entropy"]
            assert item["tau"] == pytest.approx(rho * (max(mean) + min(mean)) / 2)


def test_task_exits_are_trained_once_and_judged_at_every_scale(nano):
    """Thresholds are midranges of the heads' own entropies, and candidates follow from their training exits."""
    for task in ("asr", "sid"):
        folder = nano / f"downstream/{task}/seed1337/task-ee"
        measured = load_measured(folder / "entropies.npz").entropies
        assert len(measured) == len(table(nano / f"manifests/{task}/train.csv")) and measured.shape[1] == 12
        made = json.loads((folder / "exits.json").read_text())
        mean = measured.mean(0)
        tau = {row["rho"]: row for row in table(nano / "tables/thresholds.csv") if row["method"] == "task-ee"}
        assert set(tau) == {"0.76", "1.0"} and {row["rule"] for row in tau.values()} == {"midrange"}
        for scale in made["scales"]:
            assert scale["tau"] == pytest.approx(scale["rho"] * (mean.max() + mean.min()) / 2)
            exits = ExitRule(tuple(range(1, 13)), scale["tau"]).layers(measured)
            assert scale["counts"] == np.bincount(exits, minlength=13)[1:].tolist()
    own = [row for row in table(nano / "tables/candidates.csv") if row["method"] == "task-ee"]
    assert len(own) == 2 * 6 and all(row["candidates"] for row in own)
    assert not list(nano.glob("downstream/s[es]/*/task-ee")) and not (nano / "noise/asr/task-ee").exists()


def test_the_oracle_is_as_good_as_the_full_model(nano):
    """On every utterance on which some layer is; and it asks nobody."""
    rows = {(row["task"], row["method"], row["rho"], row["strategy"]): row for row in table(nano / "tables/grid.csv")}
    for task in ("asr", "sid"):
        full = json.loads((nano / f"evaluation/{task}/seed1337/full.json").read_text())
        ((metric, scored),) = full["utterances"].items()
        value = 100 * sum(score[0] for score in scored) / sum(score[1] for score in scored)
        assert float(rows[task, "full", "", ""]["value"]) == pytest.approx(value), metric
        for rho in ("0.76", "1.0"):
            oracle = rows[task, "oracle", rho, ""]
            cells = [row for key, row in rows.items() if key[:3] == (task, "daisy", rho)]
            assert 1 <= float(oracle["mean_exit_layer"]) <= 12
            assert len(cells) == 3 and int(oracle["n_utterances"]) == len(scored)
            fixed = [float(rows[task, name, "", ""]["macs_per_second"]) for name in ("layer6", "full")]
            per_layer = (fixed[1] - fixed[0]) / 6
            expected = fixed[1] - (12 - float(oracle["mean_exit_layer"])) * per_layer
            assert float(oracle["macs_per_second"]) == pytest.approx(expected, rel=0.2)


def test_figures_and_report(nano):
    for name in ("fig2_entropy", "fig3_tradeoff", "fig4_noise_exits", "fig5_noise_wer"):
        assert (nano / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (nano / f"figures/{name}.svg").read_text()
    report = (nano / "report.html").read_text()
    for word in (
        "Speaker identification",
        "Speech recognition",
        "Speech enhancement",
        "Speech separation",
        "Table 1",
        "nano",
        "min-max",
        "synth",
    ):
        assert word in report
    # Of one recording each: input, reference, full model and DAISY; two voices but for the input.
    assert report.count("data:audio/flac;base64,") == 4 + 7
    assert 'src="http' not in report and 'href="http' not in report


def test_noise_tables(nano):
    rows = table(nano / "tables/noise.csv")
    assert list(rows[0]) == ["kind", "snr_db", "rho", "strategy", "utterance", "exit_layer"]
    tested = {row["id"] for row in table(nano / "manifests/asr/test.csv")}
    assert {row["utterance"] for row in rows} < tested
    cells = [(row["kind"], row["snr_db"], row["rho"], row["strategy"]) for row in rows]
    expected = {
        (kind, snr, rho, strategy)
        for kind, snr in (("clean", ""), ("music", "10.0"))
        for rho in ("0.76", "1.0")
        for strategy in ("avg", "min-max", "threshold", "all")
    }
    assert set(cells) == expected and all(cells.count(cell) == 3 for cell in expected)
    assert all(1 <= int(row["exit_layer"]) <= 12 for row in rows)
    rows = table(nano / "tables/noise_wer.csv")
    assert list(rows[0]) == ["kind", "snr_db", "method", "rho", "strategy", "wer", "ci_low", "ci_high"]
    assert len(rows) == 2 * (2 + 2 * 4) and {row["method"] for row in rows} == {"daisy", "full", "layer6"}
    assert all(float(row["ci_low"]) <= float(row["wer"]) <= float(row["ci_high"]) for row in rows)
    guard = table(nano / "tables/noise_guard.csv")
    assert list(guard[0])[:5] == ["kind", "snr_db", "rho", "floor", "mean_exit_layer"]
    assert {(row["kind"], row["floor"]) for row in guard} == {("clean", "1"), ("clean", "6")}
    assert all(float(row["mean_exit_layer"]) >= int(row["floor"]) for row in guard)


def test_clean_exits_are_those_of_the_evaluation(nano):
    """The study stops clean recordings where the grid's own evaluation stops them."""
    tested = [row["id"] for row in table(nano / "manifests/asr/test.csv")]
    with np.load(nano / "entropies/asr/test/entropies.npz") as file:
        entropies = file["entropies"]
    thresholds = [row for row in table(nano / "tables/thresholds.csv") if row["method"] == "daisy"]
    tau = {row["rho"]: float(row["tau"]) for row in thresholds if row["task"] == "asr"}
    candidates = {
        (row["rho"], row["strategy"]): [int(layer) for layer in row["candidates"].split()]
        for row in table(nano / "tables/candidates.csv")
        if (row["task"], row["method"]) == ("asr", "daisy")
    }
    candidates |= {(rho, "all"): list(range(1, 13)) for rho in tau}
    exits = {
        (*cell, name): ExitRule(layers, tau[cell[0]]).layer(row.tolist())
        for cell, layers in candidates.items()
        for name, row in zip(tested, entropies, strict=True)
    }
    clean = [row for row in table(nano / "tables/noise.csv") if row["kind"] == "clean"]
    found = {(row["rho"], row["strategy"], row["utterance"]): int(row["exit_layer"]) for row in clean}
    assert len(found) == len(clean) == 2 * 4 * 3
    assert found == {key: exits[key] for key in found}
    counted = collections.Counter((rho, strategy, str(layer)) for (rho, strategy, _), layer in exits.items())
    evaluated = {
        (row["rho"], row["strategy"], row["layer"]): int(row["count"])
        for row in table(nano / "tables/exits.csv")
        if row["task"] == "asr" and row["method"] == "daisy" and row["count"] != "0"
    }
    assert evaluated == {key: count for key, count in counted.items() if key[1] != "all"}


def test_published_checkpoint(nano):
    content = torch.load(nano / "branches/daisy.pt", weights_only=True)
    assert set(content) == {"task_cfg", "model_cfg", "model_weight", "dictionaries_symbols"}
    assert content["model_weight"]["final_proj.11.weight"].shape == (16, 128)
    assert content["model_cfg"]["final_dim"] == 16
    model = load(nano / "branches/daisy.pt")
    upstream = load(ROOT / "daisy/models/hubert_tiny.safetensors")
    for name, value in upstream.encoder.state_dict().items():
        torch.testing.assert_close(model.encoder.state_dict()[name], value, rtol=0, atol=0)


def test_a_run_ships(nano, tmp_path):
    weights, exits = shipped.files("tiny", tmp_path)
    shutil.copy(ROOT / "daisy/models/hubert_tiny.safetensors", weights)
    assert ship.ship(nano, tmp_path) == exits
    bundle, made = load(nano / "model/daisy.safetensors"), shipped.read_shipped("tiny", tmp_path)
    assert set(made.calibrations) == set(TASKS) and made.calibrations == bundle.calibrations
    calibration = json.loads((nano / "calibration/asr/rho1.json").read_text())
    assert Daisy(made).exits(rho=1.0, strategy="avg", task="asr")[1] == calibration["tau"]
    wave = audio.read(shipped.SENTENCE)
    first, second = (Daisy(item).all_layers([wave]) for item in (bundle, made))
    assert first.entropies == second.entropies and torch.equal(first.features[0], second.features[0])
    assert shipped.origin("tiny", tmp_path).config["targets"]["clusters"] == 16


def test_resolved_config_is_saved(nano):
    config = yaml.safe_load((nano / "config.yaml").read_text())
    assert config["run"] == "nano" and config["targets"]["clusters"] == 16 and config["downstream"]["clip"] == 1.0


def test_splits_are_disjoint(nano):
    for task in TASKS:
        ids = [{row["id"] for row in table(nano / f"manifests/{task}/{part}.csv")} for part in ("train", "dev", "test")]
        assert all(ids) and not (ids[0] & ids[1] or ids[0] & ids[2] or ids[1] & ids[2])
    tested = {row["id"] for row in table(nano / "manifests/sid/test.csv")}
    assert not tested & {row["id"] for row in table(nano / "manifests/speech/train.csv")}
    texts = [{row["text"] for row in table(nano / f"manifests/asr/{part}.csv")} for part in ("train", "test")]
    assert not texts[0] & texts[1]


def test_unseen_speakers_are_tested(nano):
    for task in MIXED:
        speakers = [
            {name for row in table(nano / f"manifests/{task}/{part}.csv") for name in row["speaker"].split("+")}
            for part in ("train", "dev", "test")
        ]
        assert not speakers[2] & (speakers[0] | speakers[1])


@pytest.mark.parametrize("form", ["fairseq", "transformers"])
def test_branches_train_from_any_checkpoint_by_config_alone(project, nano, form):
    """The same HuBERT in another format gives the same targets and the same branches."""
    upstream = load(ROOT / "daisy/models/hubert_tiny.safetensors")
    path = project.folder / f"hubert.{form}"
    if form == "fairseq":
        torch.save({"args": None, "cfg": upstream.fairseq_config, "model": state_dict(upstream)}, path)
    else:
        save(path, upstream, form)
    before = set((project.folder / ".cache/store").glob("branches-*/daisy.pt"))
    overlay = {"run": form, "upstream": {"checkpoint": str(path)}}
    project.run("branch_training", overlay=overlay)
    assert {"config.yaml", "store.csv"} <= {item.name for item in (project.folder / "results" / form).iterdir()}
    (other,) = (item for item in (project.folder / ".cache/store").glob("branches-*/daisy.pt") if item not in before)
    own, other = (torch.load(file, weights_only=True)["model_weight"] for file in (nano / "branches/daisy.pt", other))
    assert own.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in own.items())


def test_efficiency_counts_every_job(nano, tmp_path):
    uses = {use.rule: use for use in efficiency(nano)}
    assert uses["downstream"].jobs == len(list(nano.glob("downstream/*/*/*/history.csv"))) - uses["task_exits"].jobs > 1
    assert {
        "embedded_speech",
        "branches",
        "states",
        "entropies",
        "evaluation",
        "tables",
    } <= uses.keys()  # the store's and the run's
    assert uses["downstream"].memory_mb > 50 and uses["downstream"].minutes > 0
    assert "downstream" in render(uses.values())
    asked = {"threads": 2, "resources": repr({"mem_mb": 1000, "runtime": 10})}
    row = {"s": 60, "max_rss": 250, "cpu_time": 90, "rule_name": "branches", **asked}
    (tmp_path / "benchmarks").mkdir()
    with open(tmp_path / "benchmarks/branches.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([row.keys(), row.values()])
    (use,) = efficiency(tmp_path)
    assert (use.minutes, use.minutes_asked, use.memory_mb, use.memory_mb_asked, use.cores) == (1, 10, 250, 1000, 1.5)
    assert "25%" in render([use]) and "10%" in render([use])
    (tmp_path / "benchmarks/branches.tsv").write_text("s\th:m:s\n1\t0:00:01\n")
    with pytest.raises(DaisyError, match=r"branches\.tsv.*--benchmark-extended"):
        efficiency(tmp_path)


def test_what_is_left_over(project, nano):
    """No half-written file, and no state of a finished training where trainings kept theirs."""
    own = ".snakemake_timestamp"  # Snakemake marks folders that a rule makes.
    assert not [path for path in nano.rglob(".*") if path.is_file() and path.name != own]
    state = project.folder / ".cache/store/state"
    assert state.is_dir() and not list(state.iterdir()) and not (nano / "state").exists()


def test_added_rho_reruns_its_own_jobs_alone(project, nano):
    jobs = project.would_run(overlay={"thresholds": {"rho": [0.76, 1.0, 0.5]}})
    assert {jobs[name] for name in ("calibration", "downstream")} == {4}
    assert jobs["evaluation"] == 4 + 2 and jobs["task_thresholds"] == 2, "those of the tasks' own exits are one job"
    assert jobs["noise_evaluation"] == 1 and "task_exits" not in jobs
