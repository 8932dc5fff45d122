"""The result tables."""

from __future__ import annotations

import csv
import dataclasses
import json

import pytest

from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import CandidateRow, DevRow, EntropyRow, ExitRow, GridRow, SeedRow, ThresholdRow
from daisy.report import evaluations, tables
from daisy.report.grid import rows_of
from daisy.report.tables import side_by_side
from daisy.report.wording import decimals

COLUMNS = (
    "task,method,rho,strategy,metric,value,ci_low,ci_high,higher_is_better,n_utterances,"
    "mean_exit_layer,macs_per_second,rtf,speedup_vs_full"
)


def row(method, value, *, rho=None, strategy=None, exit=6.0, speed=1.0, higher=True, task="sid", metric="accuracy"):
    """A row of the grid; its cost follows its mean exit."""
    return GridRow(
        task, method, rho, strategy, metric, value, value - 2, value + 2, higher, 50, exit, exit * 1e8, 0.02, speed
    )


def evaluation(task, method, rho, cells, metrics=("accuracy",), seed=1):
    """What the evaluation stage writes for one method."""
    rows, exits = [], []
    for strategy, value, layer, speed in cells:
        for metric in metrics:
            item = dataclasses.asdict(
                row(method, value, rho=rho, strategy=strategy, exit=layer, speed=speed, task=task, metric=metric)
            )
            rows.append({**item, "candidates": [5, 6], "fallback": strategy == "threshold", "tau": rho, "seed": seed})
        exits.append({"strategy": strategy, "counts": [0, 0, 0, 0, 30, 20]})
    # Ten points worse than the test set, and without times.
    dev = [{**item, **{name: item[name] - 10 for name in ("value", "ci_low", "ci_high")}, "rtf": None} for item in rows]
    return {"task": task, "method": method, "rho": rho, "rows": rows, "exits": exits, "dev": dev}


def write_run(folder, tasks=("sid", "asr"), metrics=("accuracy",)):
    """Evaluations and calibrations of a made-up run, in no particular order; returns the arguments of the stage."""
    evaluations, calibrations = [], []
    for task in tasks:
        files = {"layer6": (None, [(None, 76.0, 6.0, 1.4)]), "full": (None, [(None, 80.0, 12.0, 1.0)])}
        for rho in (1.0, 0.7):
            cells = [("threshold", 80.5, 5.5, 1.5), ("min-max", 79.0, 7.0, 1.3), ("avg", 78.0, 5.0, 1.6)]
            files[f"daisy-rho{rho:g}"] = (rho, cells)
            path = folder / "calibration" / task / f"rho{rho:g}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            entropies = [1.5, 1.4, 1.2, 1.1, 1.0, 0.9]
            path.write_text(
                json.dumps({"task": task, "rule": "midrange", "rho": rho, "tau": 1.2 * rho, "mean_entropy": entropies})
            )
            calibrations.append(path)
        for name, (rho, cells) in files.items():
            path = folder / "evaluation" / task / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(evaluation(task, name.split("-")[0], rho, cells, metrics)))
            evaluations.append(path)
    names = [str(path) for path in evaluations]
    return [
        "--evaluations",
        *names,
        "--calibrations",
        *map(str, calibrations),
        "--out",
        str(folder / "tables"),
        "--settings",
        "{}",
    ]


def test_columns_and_order(tmp_path):
    tables.main(write_run(tmp_path))
    lines = (tmp_path / "tables" / "grid.csv").read_text().splitlines()
    assert lines[0] == COLUMNS
    cells = [tuple(line.split(",")[:4]) for line in lines[1:]]
    daisy = [("daisy", rho, name) for rho in ("0.7", "1.0") for name in ("avg", "min-max", "threshold")]
    one = [("full", "", ""), ("layer6", "", ""), *daisy]
    assert cells == [(task, *cell) for task in ("asr", "sid") for cell in one]
    assert lines[1].split(",")[8] == "true"


def test_other_tables(tmp_path):
    tables.main(write_run(tmp_path, tasks=("sid",)))
    out = tmp_path / "tables"
    header = {path.stem: path.read_text().splitlines()[0] for path in out.glob("*.csv")}
    assert header["entropy"] == "task,layer,mean_entropy"
    assert header["exits"] == "task,method,rho,strategy,layer,count"
    assert header["thresholds"] == "task,method,rho,tau,rule,signal"
    assert header["candidates"] == "task,method,rho,strategy,candidates,fallback"
    assert read_table(EntropyRow, out / "entropy.csv")[5] == EntropyRow("sid", 6, 0.9)
    assert read_table(ThresholdRow, out / "thresholds.csv")[0] == ThresholdRow(
        "sid", "daisy", 0.7, 1.2 * 0.7, "midrange", "entropy"
    )
    candidates = read_table(CandidateRow, out / "candidates.csv")
    assert candidates[2] == CandidateRow("sid", "daisy", 0.7, "threshold", "5 6", True)
    with open(out / "exits.csv", newline="") as file:
        counts = [line["count"] for line in csv.DictReader(file) if line["method"] == "full"]
    assert counts == ["0", "0", "0", "0", "30", "20"]


def test_a_second_metric_adds_rows_but_no_candidates(tmp_path):
    tables.main(write_run(tmp_path, tasks=("sid",), metrics=("pesq", "stoi")))
    grid = read_table(GridRow, tmp_path / "tables" / "grid.csv")
    assert len(grid) == 16 and len(rows_of(grid, "sid")) == 8
    assert rows_of(grid, "sid")[0].metric == "pesq"
    assert len(read_table(CandidateRow, tmp_path / "tables" / "candidates.csv")) == 6


def test_what_is_written_reads_back_the_same(tmp_path):
    arguments = write_run(tmp_path, tasks=("sid",))
    tables.main(arguments)
    paths = sorted((tmp_path / "evaluation" / "sid").glob("*.json"))
    assert read_table(GridRow, tmp_path / "tables" / "grid.csv") == evaluations.mean_rows(
        evaluations.trained_rows(paths, "rows", GridRow)
    )


def test_seeds_become_means(tmp_path):
    arguments = write_run(tmp_path, tasks=("sid",))
    second = tmp_path / "second.json"
    second.write_text(json.dumps(evaluation("sid", "full", None, [(None, 70.0, 12.0, 1.0)], seed=2)))
    tables.main([arguments[0], str(second), *arguments[1:]])
    full = read_table(GridRow, tmp_path / "tables" / "grid.csv")[0]
    assert (full.method, full.value, full.ci_low, full.mean_exit_layer) == ("full", 75.0, 73.0, 12.0)
    seeds = [row for row in read_table(SeedRow, tmp_path / "tables" / "seeds.csv") if row.method == "full"]
    assert {row.seed: row.value for row in seeds} == {1: 80.0, 2: 70.0}
    dev = read_table(DevRow, tmp_path / "tables" / "dev.csv")
    assert (dev[0].method, dev[0].value, dev[0].ci_low, len(dev)) == ("full", 65.0, 63.0, 8)


def write_exits(folder, task="sid", seed=1, value=79.5, counts=(0, 0, 10, 40, 0, 0)):
    """Evaluations of a task's own exits at two scales, and of DAISY with an oracle, as the stage writes them."""

    def item(method, rho, strategy, value, layer, speed):
        line = row(method, value, rho=rho, strategy=strategy, exit=layer, speed=speed, task=task)
        more = {"candidates": [3, 4], "fallback": False, "tau": None if method == "oracle" else rho / 10, "seed": seed}
        return {**dataclasses.asdict(line), **more}

    def file(name, rho, rows):
        exits = [{key: line[key] for key in ("method", "rho", "strategy")} for line in rows]
        for found in exits:
            found["counts"] = [0, 0, 0, 0, 25, 25] if found["method"] == "daisy" else list(counts)
        path = folder / f"{name}-seed{seed}.json"
        # An oracle knows what is right, so that nobody picks it.
        dev = [line for line in rows if line["method"] != "oracle"]
        value = {"task": task, "method": name, "rho": rho, "rows": rows, "exits": exits, "dev": dev}
        path.write_text(json.dumps(value))
        return str(path)

    own = [item("task-ee", rho, strategy, value, 4.0, 1.7) for rho in (1.0, 0.7) for strategy in ("min-max", "avg")]
    daisy = [item("daisy", 0.5, "avg", 79.0, 5.0, 1.5), item("oracle", 0.5, None, 90.0, 2.0, 3.0)]
    return [file("task-ee", None, own), file("daisy", 0.5, daisy)]


def test_exits_of_the_task_and_the_oracle_have_rows(tmp_path):
    """Behind DAISY's, in all tables but those of the branches' entropies; of several seeds exits are the first's."""
    arguments = write_run(tmp_path, tasks=("sid",))
    more = write_exits(tmp_path) + write_exits(tmp_path, seed=2, value=77.5, counts=(50, 0, 0, 0, 0, 0))
    tables.main([*arguments[:3], *more, *arguments[3:]])
    out = tmp_path / "tables"
    grid = read_table(GridRow, out / "grid.csv")
    own = [("task-ee", rho, strategy) for rho in (0.7, 1.0) for strategy in ("avg", "min-max")]
    assert [(line.method, line.rho, line.strategy) for line in grid][-5:] == [*own, ("oracle", 0.5, None)]
    assert [line.value for line in grid if line.method == "task-ee"] == [78.5] * 4, "the mean over seeds"
    thresholds = read_table(ThresholdRow, out / "thresholds.csv")
    assert [(line.method, line.rho, line.tau, line.rule) for line in thresholds if line.method != "daisy"] == [
        ("task-ee", 0.7, pytest.approx(0.07), "midrange"),
        ("task-ee", 1.0, 0.1, "midrange"),
    ]
    candidates = read_table(CandidateRow, out / "candidates.csv")
    assert [(line.method, line.rho, line.strategy) for line in candidates if line.method != "daisy"] == own
    assert not any(line.method == "oracle" for line in candidates)
    exits = read_table(ExitRow, out / "exits.csv")
    for cell in [*own, ("oracle", 0.5, None)]:
        counts = [line.count for line in exits if (line.method, line.rho, line.strategy) == cell]
        assert counts == [0, 0, 10, 40, 0, 0]
    with open(out / "table1.csv", newline="") as file:
        assert [line["method"] for line in csv.DictReader(file)][-5:] == ["task-ee"] * 4 + ["oracle"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value["rows"][0].pop("rtf"), "'rtf' is missing"),
        (lambda value: value["rows"][0].update(value=None), "'value' is None"),
        (lambda value: value["rows"][0].update(higher_is_better="yes"), "'higher_is_better' is 'yes'"),
        (lambda value: value.update(rows=[]), "'rows' is not a filled list"),
        (lambda value: value.pop("exits"), "'exits' is missing"),
        (lambda value: value["rows"][0].update(candidates=["x"]), "'candidates' is not a filled list of int"),
    ],
)
def test_a_damaged_evaluation_is_named(tmp_path, change, message):
    arguments = write_run(tmp_path, tasks=("sid",))
    path = tmp_path / "evaluation" / "sid" / "daisy-rho0.7.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(DaisyError, match=message) as caught:
        tables.main(arguments)
    assert "daisy-rho0.7.json" in str(caught.value)


def test_a_missing_file_and_a_doubled_one(tmp_path):
    arguments = write_run(tmp_path, tasks=("sid",))
    with pytest.raises(DaisyError, match="sid, layer6, accuracy, seed 1 occurs twice"):
        tables.main([arguments[0], arguments[1], *arguments[1:]])
    with pytest.raises(DaisyError, match="does not exist"):
        tables.main(["--evaluations", str(tmp_path / "none.json"), "--out", str(tmp_path), "--settings", "{}"])


def test_calibrations_that_disagree(tmp_path):
    arguments = write_run(tmp_path, tasks=("sid",))
    path = tmp_path / "calibration" / "sid" / "rho0.7.json"
    path.write_text(path.read_text().replace("1.4", "1.3"))
    with pytest.raises(DaisyError, match="entropies differ"):
        tables.main(arguments)


def test_a_table_with_a_wrong_cell(tmp_path):
    (tmp_path / "entropy.csv").write_text("task,layer,mean_entropy\nsid,one,1.0\n")
    with pytest.raises(DaisyError, match="'layer' is 'one', not int"):
        read_table(EntropyRow, tmp_path / "entropy.csv")
    (tmp_path / "entropy.csv").write_text("task,layer,mean_entropy\nsid,1,nan\n")
    with pytest.raises(DaisyError, match="'mean_entropy' is nan, not float"):
        read_table(EntropyRow, tmp_path / "entropy.csv")


def test_decimals():
    assert [decimals(width) for width in (20.0, 3.2, 0.3, 0.05, 1e-9, 0.0)] == [0, 1, 2, 3, 4, 2]


def test_table1_and_the_input():
    """The input stands last, has results and no costs, and is no cell of figures and claims."""
    daisy = row("daisy", 79.0, rho=1.0, strategy="avg")
    grid = [row("full", 80.0, exit=12.0), row("input", 50.0, exit=0.0, speed=0.0), daisy]
    lines = {line["method"]: line for line in side_by_side(grid)}
    assert list(lines) == ["full", "daisy", "input"]
    assert lines["full"]["sid_accuracy"] == 80.0 and lines["full"]["sid_accuracy_ci_high"] == 82.0
    assert lines["daisy"]["sid_speedup_vs_full"] == 1.0 and lines["input"]["sid_speedup_vs_full"] is None
    assert [item.method for item in rows_of(grid, "sid")] == ["full", "daisy"]
