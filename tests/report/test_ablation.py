"""The tables of the target ablation: of the files that the stage is given, and of no others."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from runners import arguments

from daisy.errors import DaisyError
from daisy.report import ablation

VARIANTS: dict[str, dict[str, Any]] = {
    "head": {"kind": "head"},
    "layer9-c16": {"kind": "kmeans", "layer": 9, "clusters": 16},
}
TASKS = ("asr", "sid")
METRIC = {"asr": "wer", "sid": "accuracy"}


def evaluation(task: str, method: str, value: float) -> dict[str, Any]:
    row = {"task": task, "method": method, "metric": METRIC[task], "strategy": "min-max", "value": value}
    row |= {"ci_low": value - 1, "ci_high": value + 1, "higher_is_better": task == "sid", "mean_exit_layer": 5.5}
    return {"task": task, "rows": [{**row, "speedup_vs_full": 1.5}]}


@pytest.fixture
def files(tmp_path) -> dict[str, list[Path]]:
    """Evaluations and calibrations per variant and task, and the full model's evaluations."""
    found: dict[str, list[Path]] = {"evaluations": [], "calibrations": [], "topline_evaluations": []}

    def write(kind: str, name: str, value: dict[str, Any]) -> None:
        found[kind].append(tmp_path / f"{kind}-{name}.json")
        found[kind][-1].write_text(json.dumps(value))

    for place, variant in enumerate(VARIANTS):
        for task in TASKS:
            write("evaluations", f"{variant}-{task}", evaluation(task, "daisy", 50.0 + place))
            write("calibrations", f"{variant}-{task}", {"task": task, "mean_entropy": [2.0 + place, 1.0]})
    for task in TASKS:
        write("topline_evaluations", task, evaluation(task, "full", 60.0))
    return found


def run(folder: Path, files: dict[str, list[Path]], tasks: tuple[str, ...] = TASKS) -> list[dict[str, str]]:
    """Run the stage; the rows of its main table."""
    settings = {"variants": VARIANTS, "default": "layer9-c16", "tasks": list(tasks)}
    listed = [part for kind, paths in files.items() for part in (f"--{kind.replace('_', '-')}", *map(str, paths))]
    ablation.main([*arguments(settings, tables=folder, figures=folder), *listed])
    with open(folder / "ablation.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_is_a_row_of_its_variant(tmp_path, files):
    rows = run(tmp_path, files)
    assert [(row["variant"], row["task"], float(row["value"])) for row in rows] == [
        ("head", "asr", 50.0),
        ("head", "sid", 50.0),
        ("layer9-c16", "asr", 51.0),
        ("layer9-c16", "sid", 51.0),
    ]
    assert rows[0]["layer"] == "" and rows[2]["layer"] == "9" and {row["full_value"] for row in rows} == {"60.0"}
    with open(tmp_path / "ablation_entropy.csv", newline="") as file:
        entropies = [(row["variant"], row["task"], row["mean_entropy"]) for row in csv.DictReader(file)]
    assert entropies[0] == ("head", "asr", "2.0") and len(entropies) == 8
    assert (tmp_path / "ablation.png").stat().st_size > 10_000


def test_what_an_earlier_choice_of_tasks_left_is_not_read(tmp_path, files):
    """The folder still has the files of a task that is compared no more."""
    kept = {kind: [path for path in paths if "sid" in path.name] for kind, paths in files.items()}
    rows = run(tmp_path, kept, tasks=("sid",))
    assert [row["task"] for row in rows] == ["sid", "sid"]


def test_files_that_do_not_fit_are_refused(tmp_path, files):
    with pytest.raises(DaisyError, match="3 files for 2 variants of 2 tasks"):
        run(tmp_path, files | {"evaluations": files["evaluations"][1:]})
    swapped = [files["evaluations"][place] for place in (1, 0, 2, 3)]
    with pytest.raises(DaisyError, match="evaluations-head-sid.json: it is of the task 'sid', not asr"):
        run(tmp_path, files | {"evaluations": swapped})
