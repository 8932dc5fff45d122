"""`snakemake ablation` on the nano run: the pipeline's own rules, on branches trained on other targets."""

from __future__ import annotations

import csv

import pytest
from project import ROOT

from daisy.hubert.checkpoint import load

MODEL = ROOT / "daisy/models/hubert_tiny.safetensors"
CHOSEN = {"ablation": {"layers": [6], "clusters": [], "head": True, "tasks": ["sid"], "rho": 1.0}}


@pytest.fixture(scope="module")
def ablated(project, nano):
    """The tables of an ablation of two variants."""
    project.run("ablation", overlay=CHOSEN)
    return nano / "tables"


def test_variants_beside_one_another(project, nano, ablated):
    with open(ablated / "ablation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["head"] * 3 + ["layer6-c16"] * 3
    assert [row["strategy"] for row in rows[:3]] == ["avg", "min-max", "threshold"]
    assert all(row["task"] == "sid" and 1 <= float(row["mean_exit_layer"]) <= 12 for row in rows)
    with open(nano / "tables/grid.csv", newline="") as file:
        topline = next(row for row in csv.DictReader(file) if (row["task"], row["method"]) == ("sid", "full"))
    assert {row["full_value"] for row in rows} == {topline["value"]}
    with open(ablated / "ablation_entropy.csv", newline="") as file:
        entropies = {}
        for row in csv.DictReader(file):
            entropies.setdefault(row["variant"], []).append(float(row["mean_entropy"]))
    assert {name: len(values) for name, values in entropies.items()} == {"head": 12, "layer6-c16": 12}
    assert entropies["head"] != entropies["layer6-c16"]


def test_branches_have_all_classes_of_the_head(nano, ablated):
    lines = (nano / "ablation/head/targets/dict.km.txt").read_text().splitlines()
    names, counts = zip(*(line.split() for line in lines), strict=True)
    branches, head = load(nano / "ablation/head/branches/daisy.pt").branches, load(MODEL).head
    assert branches.shape[1] == head.classes == len(names) and "0" in counts
    assert names == tuple(map(str, range(head.classes)))


def test_a_variant_has_its_own_entropies_and_the_run_s_states(project, nano, ablated):
    own, other = (nano / path for path in ("entropies/sid/test", "ablation/head/entropies/sid/test"))
    assert other.is_symlink() and not other.samefile(own)
    assert not (nano / "ablation/head/states").exists()
    assert not project.would_run("ablation", overlay=CHOSEN)
    assert not project.would_run()


def test_a_scale_that_is_none_of_the_run_s(project, nano, ablated):
    jobs = project.would_run("ablation", overlay={"ablation": {**CHOSEN["ablation"], "rho": 0.9}})
    assert jobs["calibration"] == jobs["downstream"] == jobs["evaluation"] == 2
    assert set(jobs) - {"ablation"} == {"calibration", "downstream", "evaluation", "ablation_links", "ablation_table"}


def test_the_variant_of_the_run_itself_trains_nothing(project, nano):
    own = {"ablation": {**CHOSEN["ablation"], "layers": [12], "head": False}}
    jobs = project.would_run("ablation", overlay=own)
    assert set(jobs) - {"ablation"} == {"evaluation", "ablation_links", "ablation_table"}, "it asks for no oracle"
