"""Jobs that Slurm does not take, with scripts in the place of its programs; and what the profile asks it for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
import yte
from project import ROOT
from snakemake_executor_plugin_slurm import Executor, utils
from snakemake_interface_common.exceptions import WorkflowError

from daisy.workflow.slurm_submissions import explained, hear_term, named, setting

WORKFLOW = """
from daisy.workflow import slurm_status, slurm_submissions

onstart:
    slurm_status.mend(workflow.executor_plugin.executor)
    slurm_submissions.mend(workflow.executor_plugin.executor)
    slurm_submissions.hear_term(workflow.scheduler)
"""
REFUSED = """
rule all:
    input: "second", "charged", "modelled"
rule first:
    output: "first"
    group: "pair"
    shell: "touch {output}"
rule second:
    input: "first"
    output: "second"
    group: "pair"
    resources: gres="gpu:a100-sxm4:1,shard:2"
    shell: "touch {output}"
rule charged:
    output: "charged"
    group: "charged"
    resources: slurm_account="nobody"
    shell: "touch {output}"
rule modelled:
    output: "modelled"
    resources: gpu=1, gpu_model="a100 sxm4"
    shell: "touch {output}"
"""
TOO_LONG = "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)"
AWAY = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
QUIET = {"squeue": "", "scancel": 'echo "$@" >> cancelled', "scontrol": 'echo "MinJobAge = 300"', "sinfo": ""}


class Started:
    """Snakemake in a folder, with scripts for Slurm's programs."""

    def __init__(self, folder: Path, rules: str, **programs: str) -> None:
        self.folder, self._bin = folder, folder / "bin"
        self._bin.mkdir()
        for name, script in (QUIET | programs).items():
            (self._bin / name).write_text(f"#!/bin/sh\n{script}\n")
            (self._bin / name).chmod(0o755)
        (folder / "Snakefile").write_text(WORKFLOW + rules)
        command = [sys.executable, "-m", "snakemake", "--executor", "slurm", "--jobs", "9", "--cores", "2"]
        command += ["--keep-going", "--retries", "1", "--scheduler", "greedy", "--default-resources", "mem_mb=100"]
        command += ["runtime=60", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
        environment = {**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        self._log = open(folder / "said", "w")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def end(self) -> str:
        """Wait for its end, in which it says that it failed; what it said."""
        try:
            assert self.process.wait(120) == 1, self.said
        finally:
            self.process.kill()
            self._log.close()
        return self.said

    @property
    def said(self) -> str:
        """What it has said so far."""
        return (self.folder / "said").read_text()

    def asked(self) -> list[str]:
        """The calls of `sbatch`, without what they are to run."""
        return [line.partition(" --wrap")[0] for line in (self.folder / "asked").read_text().splitlines()]


def test_a_refused_job_ends_the_run_with_its_reason(tmp_path):
    """Whether `sbatch` refuses it or the executor does, grouped or not; nobody asks again in vain."""
    running = Started(
        tmp_path,
        REFUSED,
        sbatch=f'echo "$@" >> asked; echo "sbatch: error: {TOO_LONG}" >&2; exit 1',
        sacctmgr="echo speech",
    )
    said = running.end()
    assert said.count(TOO_LONG) == said.count("did not take group pair (rules first, second)") == 1
    assert (
        "It asked for runtime=120, mem_mb=100, gres=gpu:a100-sxm4:1,shard:2." in said and "`group-components`" in said
    )
    assert said.count("did not take group charged (rules charged): The given account nobody appears to be invalid") == 1
    assert "take an `account`" in said
    assert said.count("did not take rule modelled: Invalid GPU model format: a100 sxm4") == 1 and "`gpu_model`" in said
    assert "Traceback" not in said and "exit code" not in said and "Trying to restart" not in said
    (log,) = (tmp_path / ".snakemake/log").glob("*.log")
    assert f"Log: {log}" in said and "did not take group pair" in log.read_text()
    (call,) = running.asked()
    assert call.endswith("--gres=gpu:a100-sxm4:1,shard:2")


def test_what_may_pass_is_tried_again_and_an_interrupt_cancels(tmp_path):
    """Without `sacctmgr`, `sshare` and `sacct`, `sbatch` is who knows accounts."""
    running = Started(
        tmp_path,
        'rule long:\n    output: "long"\n    resources: slurm_account="speech"\n    shell: "touch {output}"\n',
        sbatch=f'echo "$@" >> asked; [ $(wc -l < asked) = 2 ] && echo 7 || {{ echo "{AWAY}" >&2; exit 1; }}',
        squeue="echo '7|RUNNING'",
    )
    until = time.monotonic() + 120
    while "submitted with SLURM jobid 7" not in running.said:
        assert running.process.poll() is None and time.monotonic() < until, running.said
        time.sleep(0.1)
    running.process.send_signal(signal.SIGINT)
    said = running.end()
    assert said.count(AWAY) == said.count("Trying to restart job") == 1
    assert "The account is not checked" in said and all(" -A speech " in call for call in running.asked())
    assert (tmp_path / "cancelled").read_text() == "7\n"


def test_sigterm_is_heard_while_the_schedulers_lock_is_held():
    """And its own handler, which takes the lock, is not called in the thread that holds it."""
    lock, heard = threading.Lock(), threading.Event()

    def exit_gracefully() -> None:
        with lock:
            heard.set()

    before = signal.getsignal(signal.SIGTERM)
    try:
        hear_term(SimpleNamespace(exit_gracefully=exit_gracefully))
        with lock:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not heard.wait(0.05)
        assert heard.wait(10)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Invalid account or account/partition combination specified", "`account`"),
        ("invalid partition specified: gpus", "`cpu_partition`"),
        (TOO_LONG, "`group-components`"),
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "`group-components`"),
        ("Invalid qos specification", "`qos`"),
        ("Invalid generic resource (gres) specification", "`gpus_as`"),
        ("Requested node configuration is not available", "`model_rules`"),
        ("Memory specification can not be satisfied", "`mem_mb`"),
        ("The --memory option is not allowed in the 'slurm_extra' parameter.", "`slurm_extra`"),
        ("/bin/sh: 1: sbatch: not found", "PATH"),
    ],
)
def test_the_setting_that_may_be_wrong(words, name):
    assert name in str(setting(words))


def test_a_reason_that_nobody_knows_is_told_as_it_is():
    job: Any = SimpleNamespace(
        is_group=lambda: False, rule=SimpleNamespace(name="states"), resources={"runtime": 5}, restart_times=2
    )
    told = "SLURM sbatch failed. The error message was 'no'.\n    sbatch call:\n        sbatch --wrap=much"
    text, lasting = explained(job, told, ["a.log"])
    assert text.splitlines()[0] == "Slurm did not take rule states: SLURM sbatch failed. The error message was 'no'."
    assert len(text.splitlines()) == 3 and not lasting
    assert not explained(job, "Job submit limit: " + AWAY, [])[1]


class Resources(dict):
    """As Snakemake has them: read by item and by attribute."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"gpu": 2, "gpu_model": "a100-sxm4"}, " --gpus=a100-sxm4:2"),
        ({"gpu": 1, "gpu_model": "h100_80gb"}, " --gpus=h100_80gb:1"),
        ({"gres": "gpu:nvidia_a100-sxm4-80gb:1"}, " --gres=gpu:nvidia_a100-sxm4-80gb:1"),
        ({"gres": "gpu:1g.10gb:1,nvme:100G"}, " --gres=gpu:1g.10gb:1,nvme:100G"),
        ({"gres": "gpu:1"}, " --gres=gpu:1"),
        ({}, ""),
    ],
)
def test_gpus_by_any_name(asked, option):
    assert named(utils.set_gres_string)(SimpleNamespace(resources=Resources(asked))) == option


@pytest.mark.parametrize("asked", [{"gres": "gpu:1; rm"}, {"gpu": 1, "gpu_model": "a 100"}, {"gres": "gpu:1,,x:1"}])
def test_other_names_stay_refused(asked):
    with pytest.raises(WorkflowError, match=r"[Ff]ormat"):
        named(utils.set_gres_string)(SimpleNamespace(resources=Resources(asked)))


def profile(**names: Any) -> dict[str, Any]:
    """The profile with names of a site."""
    text = (ROOT / "slurm/config.yaml").read_text()
    for name, value in names.items():
        text, count = re.subn(rf"^(  {name}:) \S+", rf"\1 {value}", text, flags=re.M)
        assert count == 1, name
    return yte.process_yaml(text)


@pytest.mark.parametrize("gpus_as", ["gpu", "gres"])
@pytest.mark.parametrize("scale", ["small", "paper"])
def test_rules_of_a_group_ask_for_the_same(scale, gpus_as):
    """Snakemake makes no group of jobs that differ in a text among their resources."""
    site = {"cpu_partition": "cpu", "gpu_partition": "accel", "gpus": 1, "gpu_model": "a100-sxm4"}
    made = profile(scale=scale, gpus_as=gpus_as, **site)
    asked = defaultdict(set)
    for rule, group in made["groups"].items():
        wanted = {**made["default-resources"], **made["set-resources"].get(rule, {})}
        asked[group].add(tuple(wanted.get(name) for name in ("slurm_partition", "gres", "gpu_model", "slurm_extra")))
    assert all(len(each) == 1 for each in asked.values()), dict(asked)


@pytest.mark.parametrize(("gpus_as", "asked"), [("gpu", ("gpu", [2, 1])), ("gres", ("gres", ["'gpu:2'", "'gpu:1'"]))])
def test_trainings_have_all_gpus_and_others_one(gpus_as, asked):
    """By one of the two names alone, whatever the rules themselves ask for; and none where the site names none."""
    name, counts = asked
    wanted = profile(gpus=2, gpus_as=gpus_as, scale="paper")["set-resources"]
    assert [wanted[rule][name] for rule in ("branches", "states")] == counts
    assert gpus_as == "gpu" or wanted["branches"]["gpu"] == 0
    none = profile(scale="paper", gpus_as=gpus_as)["set-resources"]
    assert all(none[rule]["gpu"] == 0 and "gres" not in none[rule] for rule in ("branches", "states", "evaluation"))


@pytest.mark.parametrize("name", ["a100-sxm4", "h100_80gb", "1g.10gb", "4090", "1e5"])
def test_names_reach_snakemake_as_text(name):
    """Which takes what it can for a number or a calculation."""
    made = profile(gpus=1, gpu_model=yaml.safe_dump(name).split("\n")[0], account="'0123'", cpu_partition="a-b")
    assert made["set-resources"]["states"]["gpu_model"] == repr(name)
    assert made["default-resources"]["slurm_account"] == "'0123'"
    assert made["default-resources"]["slurm_partition"] == "'a-b'"


def test_the_executor_in_use_has_what_is_mended():
    names = ("run_job", "report_job_error", "cancel", "get_account_arg")
    assert all(hasattr(Executor, name) for name in names)
    assert hasattr(sys.modules[Executor.__module__], "set_gres_string")
