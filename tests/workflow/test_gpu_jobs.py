"""The resource `gpu`, by which Snakemake starts no more jobs than there are GPUs."""

from __future__ import annotations

import re

import pytest
from project import ROOT, Project

ALONE = ("dump_features", "labels", "states", "entropies", "evaluation", "noise_states", "noise_entropies")
TRAININGS = ("branches", "downstream", "task_exits")


def asked(project: Project, *options: str, **config: object) -> dict[str, int]:
    """How many GPUs the jobs of every rule ask for, by a dry run."""
    said = project.run("--dry-run", *options, overlay=config).stdout
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", said, re.M)
    return {rule: int((re.search(r"\bgpu=(\d+)", block) or [0, 0])[1]) for rule, block in blocks}


@pytest.mark.parametrize(
    ("device", "limit", "workers", "each"),
    [("auto", ("--resources", "gpu=4"), 2, 1), ("cpu", ("--resources", "gpu=4"), 1, 0), ("auto", (), 1, 0)],
)
def test_jobs_that_run_the_model_ask_for_a_gpu(tmp_path, device, limit, workers, each):
    """One for each process; none on a CPU, nor where nobody says how many there are."""
    found = asked(Project(tmp_path), *limit, compute={"device": device}, workers=workers)
    placed = {*ALONE, *TRAININGS, "noise_evaluation"} if each else set()
    assert {rule for rule, count in found.items() if count} == placed
    assert {found[rule] for rule in ALONE} == {each} and {found[rule] for rule in TRAININGS} == {each * workers}


def test_the_profile_for_slurm_knows_every_rule_that_asks_for_a_gpu():
    """Memory, time and partition at the paper's scale, and a place in a job of several at the small one."""
    rules = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    bodies = re.findall(r"^rule (\w+):\n((?: .*\n|\n)+)", rules, re.M)
    asking = {name for name, body in bodies if "gpu=gpus(" in body}
    profile = (ROOT / "slurm/config.yaml").read_text()
    known = re.search(r"  model_rules:\n((?:    .*\n)+)", profile)
    small = profile[profile.index('?if scale == "small":\n    ?for') : profile.rindex('?if scale == "paper":')]
    assert known and asking == set(re.findall(r"^    (\w+):", known[1], re.M)) and len(asking) > 10
    assert asking <= set(re.findall(r'"(\w+)"', small))
