"""How Snakemake asks Slurm after its jobs: it forgets none, asks at a steady pace, and tells which will never start."""

from __future__ import annotations

import asyncio
import functools
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from daisy.workflow.slurm_submissions import setting

REPORTS = ("report_job_success", "report_job_error")
LONGEST = 3
"""The longest wait between two questions over the first one."""
HELD_EVERY = 60.0
"""Seconds between two questions why jobs wait."""
HELD = (
    r"Partition(TimeLimit|NodeLimit|Down|Inactive)|(QOS|Assoc|Association)\w*(PerJob|MaxWall)\w*|Invalid(Account|QOS)"
    r"|(Account|QOS)NotAllowed|BadConstraints|DependencyNeverSatisfied|JobHeld(Admin|User)"
)
"""Slurm's reasons that do not pass by themselves; sites whose limits are not enforced at submission have them."""
ELSE = "see `scontrol show job` for what it asks for, and `sinfo` and `sacctmgr show qos` for what there is"


def mend(executor: Any) -> None:
    """Make Snakemake's Slurm executor keep the jobs that it could not ask after, and bound its waits.

    Version 2.8 of the executor drops every job that it asks after while the controller is away, and then waits for
    them for ever: a job stays on its list by an answer alone. As long as nothing ends it waits ten seconds longer each
    time, so that the end of a job goes unnoticed for up to three minutes; one question is asked for all jobs, so that
    a steady pace costs the controller little.

    Args:
        executor: The executor's class; a remote executor of Snakemake, which tells the end of a job by `REPORTS`.
    """
    check = executor.check_active_jobs
    executor.unanswered = {}
    executor.held = Held()

    async def check_all(self: Any, active_jobs: Sequence[Any]) -> AsyncIterator[Any]:
        self.unanswered = {id(job): job for job in active_jobs}
        async for job in check(self, active_jobs):
            self.unanswered.pop(id(job), None)
            yield job
        if self.unanswered:
            self.logger.warning(f"Slurm did not say how {len(self.unanswered)} jobs are; asking again.")
        for job in list(self.unanswered.values()):
            yield job
        for line in await asyncio.to_thread(self.held.told, self.run_uuid) if active_jobs else ():
            self.logger.warning(line)
        first = self.workflow.executor_settings.init_seconds_before_status_checks
        self.next_seconds_between_status_checks = min(self.next_seconds_between_status_checks, LONGEST * first)

    def noted(report: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(report)
        def call(self: Any, job: Any, *arguments: Any, **options: Any) -> None:
            self.unanswered.pop(id(job), None)
            report(self, job, *arguments, **options)

        return call

    executor.check_active_jobs = check_all
    for name in REPORTS:
        setattr(executor, name, noted(getattr(executor, name)))


class Held:
    """Jobs that Slurm has taken and will not start; each reason is told once."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._asked = -HELD_EVERY

    def told(self, name: str) -> list[str]:
        """Ask Slurm after the jobs of a name, unless it was asked a moment ago; a line for every reason that is new."""
        if time.monotonic() < self._asked + HELD_EVERY:
            return []
        self._asked = time.monotonic()
        jobs: dict[str, list[str]] = {}
        for job, reason in waiting(name):
            if re.fullmatch(HELD, reason) and reason not in self._known:
                jobs.setdefault(reason, []).append(job)
        self._known |= jobs.keys()
        return [_line(reason, names) for reason, names in jobs.items()]


def waiting(name: str) -> list[tuple[str, str]]:
    """Number and reason of every waiting job of a name; none where Slurm does not say."""
    command = ["squeue", "--noheader", "--states=PENDING", f"--name={name}", "--format=%i|%r"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = (line.strip().partition("|") for line in answer.splitlines())
    return [(job, reason) for job, _, reason in lines]


def _line(reason: str, jobs: Sequence[str]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", reason)
    more = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
    return (
        f"Slurm has taken {'job' if len(jobs) == 1 else 'jobs'} {', '.join(jobs[:3])}{more} but does not start such: "
        f"{reason}. They wait for ever unless that changes.\n    To do, with names of slurm/config.yaml: "
        f"{setting(words) or ELSE}. Then end this run (Ctrl-C cancels its jobs) and start it again."
    )
