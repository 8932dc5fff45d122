"""The result tables and the claims that are held against them."""

from __future__ import annotations

import csv
import dataclasses
import json

import pytest

from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import CandidateRow, DevRow, EntropyRow, ExitRow, GridRow, SeedRow, ThresholdRow
from daisy.exits.method import Method
from daisy.report import tables
from daisy.report.claims import (
    Claim,
    beats_fixed_exit,
    claims,
    entropy_falls,
    gains_over_input,
    keeps_quality,
    matches_task_exits,
    reaches_target,
    speed_follows_exits,
)
from daisy.report.grid import best_of, rows_of
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
    dev = [{**item, "value": item["value"] - 10, "rtf": None, "speedup_vs_full": None} for item in rows]
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
    assert header["thresholds"] == "task,method,rho,tau,rule"
    assert header["candidates"] == "task,method,rho,strategy,candidates,fallback"
    assert read_table(EntropyRow, out / "entropy.csv")[5] == EntropyRow("sid", 6, 0.9)
    assert read_table(ThresholdRow, out / "thresholds.csv")[0] == ThresholdRow(
        "sid", "daisy", 0.7, 1.2 * 0.7, "midrange"
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
    assert read_table(GridRow, tmp_path / "tables" / "grid.csv") == tables.mean_rows(
        tables.trained_rows(paths, "rows", GridRow)
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
    assert (dev[0].method, dev[0].value, len(dev)) == ("full", 65.0, 8)


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


FULL, LAYER6 = row("full", 80.0, exit=12.0), row("layer6", 76.0, speed=1.4)


def daisy(value, **options):
    return row("daisy", value, rho=1.0, strategy=options.pop("strategy", "avg"), **options)


def verdict(claim: Claim) -> str:
    assert claim.title and claim.detail
    return claim.verdict


def test_quality_is_kept():
    slow, fast = daisy(80.0, speed=1.1, strategy="min-max"), daisy(78.5, speed=1.3)
    claim = keeps_quality([FULL, slow, fast], "sid", "accuracy")
    assert verdict(claim) == "holds" and "ρ 1.0, avg" in claim.detail and "1.30×" in claim.detail
    assert verdict(keeps_quality([FULL, daisy(77.9, speed=1.3)], "sid", "accuracy")) == "fails"
    assert verdict(keeps_quality([FULL, daisy(80.0, speed=0.9)], "sid", "accuracy")) == "fails"
    assert verdict(keeps_quality([FULL], "sid", "accuracy")) == "not tested"
    errors = [dataclasses.replace(item, higher_is_better=False) for item in (FULL, daisy(81.5, speed=1.2))]
    assert verdict(keeps_quality(errors, "sid", "accuracy")) == "holds"
    errors[1] = dataclasses.replace(errors[1], value=82.5)
    assert verdict(keeps_quality(errors, "sid", "accuracy")) == "fails"


def test_fixed_exit():
    def ask(*cells):
        return beats_fixed_exit([FULL, *cells], "sid", "accuracy", Method("layer", layer=6))

    assert verdict(ask(LAYER6, daisy(76.0, exit=6.0))) == "holds"
    assert verdict(ask(LAYER6, daisy(75.9, exit=5.0))) == "fails"
    assert verdict(ask(LAYER6, daisy(79.0, exit=7.0))) == "fails"
    assert verdict(ask(daisy(79.0))) == "not tested"
    assert verdict(ask(LAYER6)) == "not tested"


def test_exits_trained_for_the_task():
    def ask(*cells):
        return matches_task_exits([FULL, *cells], "sid", "accuracy")

    own = row("task-ee", 78.0, rho=0.7, strategy="avg", exit=6.0)
    worse = row("task-ee", 70.0, rho=1.0, strategy="avg", exit=2.0)
    assert verdict(ask(own, worse, daisy(78.0, exit=6.0))) == "holds", "the best of the task's own cells counts"
    claim = ask(own, worse, daisy(77.9, exit=6.0), daisy(79.0, exit=7.0, strategy="min-max"))
    assert verdict(claim) == "fails" and "task exits ρ 0.7, avg, 78.0 [76.0, 80.0] at 0.600 billion" in claim.detail
    claim = ask(own, daisy(79.0, exit=7.0))
    assert verdict(claim) == "fails" and "No cell costs as little" in claim.detail
    assert verdict(ask(own)) == "not tested"
    titles = [claim.title for claim in claims([FULL, own, daisy(78.0)], [])]
    assert sum("exits trained for the task" in title for title in titles) == 1
    assert not any("exits trained for the task" in claim.title for claim in claims([FULL, daisy(78.0)], []))


def test_an_oracle_takes_no_part_in_claims():
    cells = [FULL, LAYER6, daisy(76.0, exit=6.0)]
    oracle = row("oracle", 99.0, rho=1.0, exit=1.0, speed=9.0)
    assert claims([*cells, oracle], []) == claims(cells, [])
    assert best_of(rows_of([*cells, oracle], "sid")) == 80.0


def test_entropy():
    def ask(*means):
        return entropy_falls([EntropyRow("sid", layer, mean) for layer, mean in enumerate(means, start=1)], "sid")

    assert verdict(ask(1.5, 1.2, 1.0)) == "holds"
    assert verdict(ask(1.5, 1.0, 1.04)) == "holds"
    assert verdict(ask(1.5, 1.0, 1.06)) == "fails"
    assert verdict(ask()) == "not tested"


def test_speed_follows_exits():
    cells = [daisy(80.0, exit=5.0, speed=1.5), daisy(80.0, exit=6.0, speed=1.3), daisy(80.0, exit=8.0, speed=1.2)]
    assert verdict(speed_follows_exits(cells, "sid")) == "holds"
    near = [*cells, daisy(80.0, exit=5.2, speed=1.6)]
    assert verdict(speed_follows_exits(near, "sid")) == "holds"
    wrong = [*cells, daisy(80.0, exit=9.0, speed=1.25)]
    claim = speed_follows_exits(wrong, "sid")
    assert verdict(claim) == "fails" and "5 of 6" in claim.detail and "83%" in claim.detail
    assert verdict(speed_follows_exits(cells[:1], "sid")) == "not tested"


def test_target():
    assert verdict(reaches_target([FULL, daisy(70.0, speed=1.2)])) == "holds"
    assert verdict(reaches_target([FULL, daisy(80.0, speed=1.19)])) == "fails"
    assert verdict(reaches_target([FULL, daisy(80.0, speed=1.5, strategy="min-max")])) == "not tested"


def test_all_claims_of_a_run(tmp_path):
    tables.main(write_run(tmp_path))
    grid = read_table(GridRow, tmp_path / "tables" / "grid.csv")
    found = claims(grid, read_table(EntropyRow, tmp_path / "tables" / "entropy.csv"))
    assert len(found) == 9 and {claim.verdict for claim in found} == {"holds"}


def test_decimals():
    assert [decimals(width) for width in (20.0, 3.2, 0.3, 0.05, 1e-9, 0.0)] == [0, 1, 2, 3, 4, 2]


def test_gain_over_the_input():
    def ask(before, after):
        rows = [row("full", after, metric="pesq", task="se"), row("input", before, metric="pesq", task="se", exit=0.0)]
        return gains_over_input(rows, "se", "pesq")

    assert verdict(ask(1.30, 1.46)) == "holds"
    assert verdict(ask(1.30, 1.40)) == "fails"
    same = gains_over_input([row("full", 2.0), row("input", 2.0, exit=0.0)], "sid", "accuracy")
    assert same is not None and verdict(same) == "holds", "not to lower a result is enough where no gain is asked"
    assert gains_over_input([FULL], "sid", "accuracy") is None, "a task whose input cannot be scored has no such claim"


def test_table1_and_the_input():
    """The input stands last, has results and no costs, and is no cell of figures and claims."""
    grid = [FULL, row("input", 50.0, exit=0.0, speed=0.0), daisy(79.0)]
    lines = {line["method"]: line for line in side_by_side(grid)}
    assert list(lines) == ["full", "daisy", "input"]
    assert lines["full"]["sid_accuracy"] == 80.0 and lines["full"]["sid_accuracy_ci_high"] == 82.0
    assert lines["daisy"]["sid_speedup_vs_full"] == 1.0 and lines["input"]["sid_speedup_vs_full"] is None
    assert [item.method for item in rows_of(grid, "sid")] == ["full", "daisy"]
