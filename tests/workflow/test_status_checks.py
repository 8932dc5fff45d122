"""Snakemake's Slurm executor, mended: what it does with jobs of which Slurm says nothing, and how long it waits."""

from __future__ import annotations

import asyncio
import logging
import os
from types import SimpleNamespace

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor

from daisy.workflow.slurm_status import ELSE, HELD_EVERY, REPORTS, Held, mend


class Executor:
    """Tells the end of two jobs, says that one goes on, forgets the others, and waits longer each time."""

    logger = logging.getLogger("snakemake")
    workflow = SimpleNamespace(executor_settings=SimpleNamespace(init_seconds_before_status_checks=5))
    next_seconds_between_status_checks = 5
    run_uuid = "run"

    def __init__(self) -> None:
        self.ended: list[str] = []

    def report_job_success(self, job: list[str]) -> None:
        self.ended += job

    def report_job_error(self, job: list[str], msg: str | None = None) -> None:
        self.ended += job

    async def check_active_jobs(self, active_jobs):
        for job in active_jobs:
            if job == ["done"]:
                self.report_job_success(job)
            elif job == ["failed"]:
                self.report_job_error(job, msg="it failed")
            elif job == ["working"]:
                yield job
        self.next_seconds_between_status_checks += 10


async def _asked(executor: Executor, jobs: list[list[str]]) -> list[list[str]]:
    return [job async for job in executor.check_active_jobs(jobs)]


def test_jobs_without_an_answer_are_kept_and_waits_are_bounded():
    mend(Executor)
    executor = Executor()
    executor.report_job_error(["not submitted"])
    jobs = [["done"], ["unknown"], ["failed"], ["working"], ["unknown"]]
    assert asyncio.run(_asked(executor, jobs)) == [["working"], ["unknown"], ["unknown"]]
    assert executor.ended == ["not submitted", "done", "failed"]
    assert asyncio.run(_asked(executor, [["done"]])) == []
    assert executor.next_seconds_between_status_checks == 15


def test_the_executor_in_use_has_what_is_mended():
    names = ("check_active_jobs", "next_seconds_between_status_checks", *REPORTS)
    assert all(hasattr(SlurmExecutor, name) for name in names)


def test_jobs_that_slurm_never_starts_are_told_once(tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    squeue.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        "printf '7|PartitionTimeLimit\\n8|Priority\\n9|PartitionTimeLimit\\n10|QOSMaxWallDurationPerJobLimit\\n'\n"
        "printf '11|InvalidQOS\\n12|Resources\\n13|BadConstraints\\n14|\\n'\n"
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    held = Held()
    limit, wall, qos, other = held.told("run")
    assert "jobs 7, 9 but does not start such: PartitionTimeLimit" in limit and "job 10 " in wall
    assert all("`runtime`" in line and "`groups`" in line for line in (limit, wall))
    assert "`qos` that" in qos and ELSE in other
    assert held.told("run") == []
    monkeypatch.setattr(held, "_asked", -HELD_EVERY)
    assert held.told("run") == []
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == 2 * ["--noheader --states=PENDING --name=run --format=%i|%r"]
    squeue.write_text("#!/bin/sh\nexit 1\n")
    assert Held().told("run") == []

    class Waiting(Executor):
        said: list[str] = []
        logger = SimpleNamespace(warning=said.append)

    squeue.write_text("#!/bin/sh\necho '7|PartitionTimeLimit'\n")
    mend(Waiting)
    assert asyncio.run(_asked(Waiting(), [["working"]])) == [["working"]]
    assert len(Waiting.said) == 1 and "PartitionTimeLimit" in Waiting.said[0]
