"""How Snakemake asks Slurm after its jobs: it forgets none of them, and does not ask ever more seldom."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

REPORTS = ("report_job_success", "report_job_error")
LONGEST = 3
"""The longest wait between two questions over the first one."""


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

    async def check_all(self: Any, active_jobs: Sequence[Any]) -> AsyncIterator[Any]:
        self.unanswered = {id(job): job for job in active_jobs}
        async for job in check(self, active_jobs):
            self.unanswered.pop(id(job), None)
            yield job
        if self.unanswered:
            self.logger.warning(f"Slurm did not say how {len(self.unanswered)} jobs are; asking again.")
        for job in list(self.unanswered.values()):
            yield job
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
