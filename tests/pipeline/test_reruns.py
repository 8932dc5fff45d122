"""Partial reruns: every edit of docs/reruns.md reruns its rules, no more and no less, and right."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import Project, laid_over, numbers

from docs.reruns import A_TASK_MORE, CONFIG, EDITS, HEADS, NOISE, Edit


@contextlib.contextmanager
def made(edit: Edit, project: Project) -> Iterator[None]:
    """The project with the edit, which is taken back at the end."""
    aside = project.folder / "aside"
    moved: dict[Path, Path] = {}
    before = None
    if edit.code:
        file, old, new = edit.code
        before = (project.folder / file).read_text()
        assert old in before
        (project.folder / file).write_text(before.replace(old, new, 1) if old else before + new)
    for path in project.folder.glob(edit.touch) if edit.touch else ():
        if path.is_file() and not path.is_relative_to(project.results.parent) and ".cache" not in path.parts:
            os.utime(path)
    for pattern in edit.remove:
        for path in project.folder.glob(pattern):
            moved[path] = aside / str(len(moved))
            aside.mkdir(exist_ok=True)
            shutil.move(path, moved[path])
    try:
        yield
    finally:
        if edit.code and before is not None:
            (project.folder / edit.code[0]).write_text(before)
        for path, place in moved.items():
            shutil.move(place, path)


IDLE = [edit for edit in EDITS if not edit.rules and not edit.options]
"""Edits that rerun nothing: neither one by one nor all at once, which one dry run shows."""


def test_edits_that_rerun_nothing(project, nano):
    overlay = laid_over(*(edit.overlay for edit in IDLE))
    with contextlib.ExitStack() as edits:
        for edit in IDLE:
            edits.enter_context(made(edit, project))
        assert len(IDLE) > 8 and not project.would_run(overlay=overlay)


@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit not in IDLE], ids=lambda edit: edit.what)
def test_edit_reruns_its_rules_and_no_others(project, nano, edit):
    with made(edit, project):
        assert set(project.would_run(*edit.options, overlay=edit.overlay)) == edit.rules


def test_another_run_shares_what_is_equal(project, nano):
    """A second run name with another learning rate does nothing upstream, and can be removed."""
    overlay = {"run": "other", "tasks": {"asr": {"learning_rate": 0.001}}}
    jobs = project.would_run(overlay=overlay)
    assert set(jobs) == {"resolved_config", "examples"} | HEADS | NOISE
    assert jobs["downstream"] == 4 and jobs["evaluation"] == 5, "of ASR alone; task-ee is timed beside its full model"
    project.run("--", "results/other/store.csv", overlay=overlay)
    other = nano.parent / "other"
    upstream = ("branches", "targets", "states/asr/train", "entropies/asr/train", "corpora/speech")
    models = ("calibration/asr/rho1.json", "downstream/sid/seed1337/full", "evaluation/se/seed1337/full.json")
    for name in (*upstream, *models):
        assert (other / name).is_symlink() and (other / name).samefile(nano / name)
    assert (other / "downstream/asr/seed1337/full").is_symlink() and not (
        other / "downstream/asr/seed1337/full"
    ).exists()
    shutil.rmtree(other)
    assert not project.would_run()


def test_the_store_is_cleaned_of_what_no_run_uses(project, nano):
    unused = project.folder / ".cache/store/branches-0123456789ab"
    unused.mkdir()
    (unused / "daisy.pt").write_bytes(b"x" * 1000)
    # A model that left the config, and the run's list with it, is no longer in use.
    table, model = nano / "store.csv", (nano / "downstream/ss/seed1337/full").resolve()
    before = table.read_text()
    table.write_text("".join(line for line in before.splitlines(keepends=True) if model.name not in line))
    outcome = project.daisy("clean-store", "--dry-run")
    table.write_text(before)
    named = [line.partition(":")[0].rpartition("/")[2] for line in outcome.stdout.splitlines()[:-1]]
    assert outcome.returncode == 0 and unused.exists()
    # Other tests leave models of their own in the store.
    assert {unused.name, model.name} <= {*named} and named.count(model.name) == 2, (
        "the model, and its training's curves"
    )
    assert project.daisy("clean-store").returncode == 0
    assert not unused.exists() and model.exists() and not project.would_run()
    lock = project.folder / ".snakemake/locks/0.input.lock"
    lock.touch()
    outcome = project.daisy("clean-store")
    lock.unlink()
    assert outcome.returncode == 1 and "a run is going on here" in outcome.stderr


@pytest.mark.parametrize(
    ("edit", "rule", "reason"),
    [
        (Edit("", set(), {"tasks": {"asr": {"learning_rate": 0.001}}}), "downstream", "learning_rate: 0.005 → 0.001"),
        (Edit("", set(), {"targets": {"clusters": 20}}), "kmeans", "clusters: 16 → 20"),
        (Edit("", set(), {"targets": {"clusters": 20}}), "labels", "after kmeans"),
        (Edit("", set(), {"branches": {"steps": 8}}), "branches", "steps: 6 → 8"),
        (Edit("", set(), {"data": {"splits": {"max_seconds": 3.5}}}), "manifests", "max_seconds: 4.0 → 3.5"),
        (
            Edit("", set(), code=("daisy/targets/kmeans.py", "", "OTHER = 1\n")),
            "kmeans",
            "code of daisy/targets/kmeans.py",
        ),
        (Edit("", set(), code=("daisy/tasks/asr.py", "", "OTHER = 1\n")), "evaluation", "code of daisy/tasks/asr.py"),
        (Edit("", set(), {"thresholds": {"rho": [0.76, 1.0, 0.5]}}), "calibration", "not made yet"),
        (
            Edit("", set(), remove=("results/nano/figures/fig2_entropy.png",)),
            "figures",
            "results/nano/figures/fig2_entropy.png is gone",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plan_says_why(project, nano, edit, rule, reason):
    with made(edit, project):
        (project.folder / "edit.yaml").write_text(yaml.safe_dump(edit.overlay))
        outcome = project.daisy("plan", "--configfile", "config/test.yaml", "edit.yaml", "--json")
        assert outcome.returncode == 0, outcome.stderr
        jobs = json.loads(outcome.stdout)
        assert reason in {text for job in jobs if job["rule"] == rule for text in job["reasons"]}
        assert {job["rule"] for job in jobs} == set(project.would_run(overlay=edit.overlay))
        assert all(job["reasons"] for job in jobs)
        timed = [job for job in jobs if job["seconds"] is not None]
        assert timed and all(job["seconds"] >= 0 for job in timed)
        for job in jobs:
            if job["rule"] == "branches":
                assert job["key"] and job["output"].startswith(f".cache/store/branches-{job['key']}/")
            if job["rule"] == "evaluation":
                assert job["task"] and job["method"]


def test_plan_scales_what_a_run_measured(project, nano):
    """From the nano run's own records: more steps take longer by their rate; k-means at another scale is unknown."""

    def seconds(steps: int, clusters: int) -> dict[str, float | None]:
        overlay = {"branches": {"steps": steps}, "targets": {"clusters": clusters}}
        (project.folder / "edit.yaml").write_text(yaml.safe_dump(overlay))
        told = json.loads(project.daisy("plan", "--configfile", "config/test.yaml", "edit.yaml", "--json").stdout)
        return {job["rule"]: job["seconds"] for job in told}

    few, some, many = (seconds(steps, clusters) for steps, clusters in ((60, 17), (600, 17), (6000, 170)))
    assert many["branches"] - some["branches"] == pytest.approx(10 * (some["branches"] - few["branches"]), rel=0.01)
    assert few["kmeans"] is not None and many["kmeans"] is None


def test_what_other_versions_made_is_told_and_made_again_if_asked(project, nano):
    record = nano / "logs/figures.log.json"
    before = record.read_text()
    made = json.loads(before)
    assert "results/nano/figures/fig2_entropy.png" in made["outputs"] and made["versions"]["numpy"]
    record.write_text(json.dumps(made | {"versions": {"numpy": "0.1"}}))
    try:
        told = project.daisy("plan", "--configfile", "config/test.yaml").stdout
        assert told.startswith("Nothing to be done") and f"figures: numpy 0.1 → {made['versions']['numpy']}" in told
        assert not project.would_run()
        assert set(project.would_run(overlay={"upgrades": "rerun"})) == CONFIG | {"figures"}
    finally:
        record.write_text(before)


def test_plan_of_a_finished_run(project, nano):
    outcome = project.daisy("plan", "--configfile", "config/test.yaml")
    assert outcome.returncode == 0 and outcome.stdout.startswith("Nothing to be done")


@pytest.mark.changes_nano
def test_reruns_give_what_a_run_from_scratch_gives(project, nano, tmp_path):
    """Three edits, one after another and really run: tasks and rho taken away, clusters, a learning rate."""
    overlay: dict[str, Any] = {"tasks": {"se": None, "ss": None}, "thresholds": {"rho": [1.0]}}
    project.run(overlay=overlay)
    with made(A_TASK_MORE, project):
        again = {**overlay, "tasks": {"se": None}}
        assert set(project.would_run(overlay=again)) == A_TASK_MORE.rules
    first = numbers(nano)
    overlay["targets"] = {"clusters": 20}
    project.run(overlay=overlay)
    second = numbers(nano)
    overlay["tasks"]["sid"] = {"learning_rate": 0.0001}
    project.run(overlay=overlay)
    assert first != second != numbers(nano) != first
    scratch = Project(tmp_path / "scratch")
    scratch.run(overlay=overlay)
    assert numbers(scratch.results) == numbers(nano)
