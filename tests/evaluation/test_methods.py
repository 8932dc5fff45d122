"""The evaluation stage on each kind of method, from trained models to rows, on the golden recordings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from project import GOLDEN, ROOT
from runners import arguments

from daisy.common import audio
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.downstream import task_thresholds, train, train_task_exits
from daisy.errors import DaisyError
from daisy.evaluation import evaluate
from daisy.features import entropies, states
from daisy.hubert.checkpoint import load, save
from daisy.students.model import Student, without_heads
from daisy.tasks.registry import TASKS as REGISTRY

TASKS = {
    "sid": {"projection": 8},
    "asr": {
        "projection": 8,
        "hidden": 8,
        "layers": 1,
        "dropout": 0.0,
        "stride": 2,
        "specaugment": {
            "time_masks": 0,
            "time_frames": 1,
            "time_share": 0.1,
            "feature_masks": 0,
            "feature_dims": 1,
        },
    },
    "ks": {"projection": 8, "keywords": ["a"]},
    "pr": {"projection": 8},
}
STRATEGIES = {"avg": 0.2, "min-max": 0.2, "threshold": 0.9}
TRAINING = {
    "steps": 3,
    "batch_size": 3,
    "optimizer": "adam",
    "learning_rate": 0.02,
    "schedule": "constant",
    "clip": 1.0,
}
TRAINING |= {"dev_every": 3, "seed": 1, "save_every": 9, "states": "after-norm"}


@pytest.fixture(params=list(TASKS))
def evaluated(request, spoken) -> tuple[str, Callable[..., dict]]:
    """The task, and what evaluates a method of it: ``full``, ``daisy``, ``task-ee`` or ``student``."""
    task, manifest, model = request.param, spoken / "train.tsv", spoken / "daisy.pt"
    small = spoken / "student.safetensors"
    view = {"states": "after-norm", "pooled": REGISTRY[task].pooled}
    given = {"view": view, "storage": "float32", "batch_seconds": 9.0}
    states.main(arguments(given, checkpoint=model, manifest=manifest, out=spoken / "states.npy"))
    entropies.main(arguments({"batch_seconds": 9.0}, upstream=model, manifest=manifest, out=spoken / "entropies.npz"))
    (spoken / "tau.json").write_text('{"tau": 1.9}')
    files = {f"{part}_manifest": manifest for part in ("train", "dev")}
    measured = {f"{part}_entropies": spoken / "entropies.npz" for part in ("train", "dev")}
    shared = TRAINING | {"task": task}

    def read(kind: str) -> Path:
        """The states that a method reads."""
        kept = spoken / ("student.npy" if kind == "student" else "states.npy")
        if not kept.exists():
            teacher = load(model)
            save(small, without_heads(Student(teacher.encoder, 2, 3, True), teacher), "safetensors")
            states.main(arguments(given, checkpoint=small, manifest=manifest, out=kept))
        return kept

    def trained(kind: str) -> dict[str, object]:
        out = spoken / kind
        files.update({f"{part}_states": read(kind) for part in ("train", "dev")})
        results = {"state": out / "state", "out": out / "model.safetensors", "history": out / "history.csv"}
        if kind == "task-ee":
            own = {"options": {name: TASKS[task][name] for name in REGISTRY[task].exits if name in TASKS[task]}}
            train_task_exits.main(arguments(shared | own, **files, **results, entropies=out / "entropies.npz"))
            chosen = {"task": task, "rho": [0.9, 1.0]}
            task_thresholds.main(arguments(chosen, entropies=out / "entropies.npz", out=out / "exits.json"))
        else:
            own = {"options": TASKS[task], "fusion": "dynamic", "method": {"kind": kind}}
            exits = measured | {"calibration": spoken / "tau.json"} if kind == "daisy" else {}
            train.main(arguments(shared | own, **files, **exits, **results, exits=out / "exits.json"))
        return {"downstream": out / "model.safetensors", "exits": out / "exits.json"}

    topline = trained("full")["downstream"]

    def evaluate_method(kind: str, **more: object) -> dict:
        rho = 1.0 if kind == "daisy" else None
        chosen = {"method": {"kind": kind, "rho": rho}, "strategies": {} if kind in ("full", "student") else STRATEGIES}
        chosen["draws"] = 20
        chosen |= {"timed": 2, "rounds": 1, "seed": 1, "training_seed": 1}
        if kind == "daisy":
            more["entropies"] = more["dev_entropies"] = spoken / "entropies.npz"
        out = spoken / f"{kind}.json"
        test = {"upstream": model, "manifest": manifest, "states": read(kind), "topline": topline}
        test |= {"dev_manifest": manifest, "dev_states": read(kind)}
        if kind == "student":
            test |= {"upstream": small, "topline_upstream": model}
        evaluate.main(arguments(chosen, **test, **trained(kind), **more, out=out))
        return json.loads(out.read_text())

    return task, evaluate_method


def test_a_task_s_own_exits(evaluated, spoken, capsys):
    """A row for every scale and choice of candidates, which real runs confirm, from one training."""
    task, run = evaluated
    found = run("task-ee")
    assert (found["task"], found["method"], found["rho"]) == (task, "task-ee", None)
    cells = [("task-ee", rho, strategy) for rho in (0.9, 1.0) for strategy in STRATEGIES]
    assert [(row["method"], row["rho"], row["strategy"]) for row in found["rows"]] == cells
    assert [(row["method"], row["rho"], row["strategy"]) for row in found["exits"]] == cells
    for row, exits in zip(found["rows"], found["exits"], strict=True):
        assert sum(exits["counts"]) == row["n_utterances"] == 6
        assert row["mean_exit_layer"] == sum(k * count for k, count in enumerate(exits["counts"], 1)) / 6
        assert row["tau"] > 0 and row["candidates"] and row["rtf"] > 0 and row["speedup_vs_full"] > 0
    assert {row["tau"] for row in found["rows"][:3]} != {row["tau"] for row in found["rows"][3:]}
    scales = {item["rho"]: item["counts"] for item in json.loads((spoken / "task-ee/exits.json").read_text())["scales"]}
    for row in found["rows"]:
        few = row["strategy"] == "threshold" and max(scales[row["rho"]]) / 6 <= STRATEGIES["threshold"]
        assert row["fallback"] == few
    assert f"{task} task-ee 0.9 min-max: " in capsys.readouterr().out


def test_a_student_is_timed_beside_its_teacher(evaluated):
    """By its own operations: the same as its first layers have in the teacher."""
    task, run = evaluated
    (found,) = run("student")["rows"]
    full = next(row for row in run("full")["rows"] if row["method"] == "full")
    assert (found["method"], found["rho"], found["strategy"], found["mean_exit_layer"]) == ("student", None, None, 2)
    assert found["macs_per_second"] < 0.7 * full["macs_per_second"] and found["speedup_vs_full"] > 0
    assert found["candidates"] == [2] and found["tau"] is None and not found["fallback"]


def test_an_oracle_beside_daisy(evaluated, spoken):
    """As good as the full model wherever a layer is, at the exits that it names."""
    task, run = evaluated
    full = run("full")
    ((metric, scored),) = full["utterances"].items()
    assert len(scored) == 6 and [row["method"] for row in full["rows"]] == ["full"]
    alone, found = run("daisy"), run("daisy", topline_evaluation=spoken / "full.json")
    daisy, oracle = found["rows"][:3], found["rows"][3]
    unclocked = [{key: row[key] for key in row if key not in ("rtf", "speedup_vs_full")} for row in alone["rows"]]
    assert unclocked == [{key: row[key] for key in row if key not in ("rtf", "speedup_vs_full")} for row in daisy]
    assert (oracle["method"], oracle["rho"], oracle["strategy"], oracle["metric"]) == ("oracle", 1.0, None, metric)
    assert oracle["tau"] is None and not oracle["fallback"] and oracle["speedup_vs_full"] > 0
    counts = found["exits"][3]["counts"]
    assert sum(counts) == 6 and oracle["mean_exit_layer"] == sum(k * count for k, count in enumerate(counts, 1)) / 6
    assert "utterances" not in found


@pytest.mark.parametrize(("task", "sources"), [("se", 1), ("ss", 2)])
def test_masks_on_a_model_of_25_frames_a_second(tmp_path, waves, task, sources):
    """Trained and evaluated with a frame every 640 samples; an upstream of another hop is refused."""
    model = ROOT / "tests/cases/checkpoints/fs_25hz.pt"
    items, rng = [], np.random.default_rng(1)
    for number, wave in enumerate(waves[:3]):
        parts = [wave.numpy() / 2, 0.05 * rng.standard_normal(len(wave), np.float32)]
        names = [f"{number}-{part}.flac" for part in ("mixed", "one", "other")]
        for name, signal in zip(names, [sum(parts), *parts], strict=True):
            audio.write(tmp_path / name, signal)
        items.append(Utterance(f"u{number}", names[0], len(wave), references=tuple(names[1 : 1 + sources])))
    manifest = tmp_path / "mixtures.tsv"
    write_manifest(manifest, tmp_path, items)
    chosen = TRAINING | {"task": task, "fusion": "dynamic", "method": {"kind": "full"}}
    chosen["options"] = {"hidden": 8, "layers": 1, "dropout": 0.0, "hop": 640}
    files = {"train_manifest": manifest, "dev_manifest": manifest, "checkpoint": model, "state": tmp_path / "state"}
    files |= {"history": tmp_path / "history.csv", "exits": tmp_path / "exits.json"}
    trained = tmp_path / "model.safetensors"
    train.main(arguments(chosen, **files, out=trained))
    judged = {"method": {"kind": "full"}, "strategies": {}, "draws": 5, "timed": 1, "rounds": 1}
    judged |= {"seed": 1, "training_seed": 1}
    found = {"manifest": manifest, "dev_manifest": manifest, "exits": tmp_path / "exits.json"}
    found |= {"downstream": trained, "topline": trained}
    evaluate.main(arguments(judged, upstream=model, **found, out=tmp_path / "scores.json"))
    rows = {row["method"]: row for row in json.loads((tmp_path / "scores.json").read_text())["rows"]}
    assert rows.keys() == {"full", "input"} and rows["full"]["n_utterances"] == 3
    assert rows["full"]["mean_exit_layer"] == 2
    with pytest.raises(DaisyError, match=f"a frame every 320 samples, but the task {task} was set up for 640"):
        evaluate.main(
            arguments(judged, upstream=GOLDEN / "daisy_tiny_after_norm.pt", **found, out=tmp_path / "no.json")
        )
    chosen["options"]["hop"] = 320
    with pytest.raises(DaisyError, match=f"a frame every 640 samples, but the task {task} was set up for 320"):
        train.main(arguments(chosen, **files, out=tmp_path / "no.safetensors"))
