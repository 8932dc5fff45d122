"""What a plan would have said of a run that is done, by what other runs measured, beside what it took."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError
from daisy.workflow.estimates import Clock
from daisy.workflow.plan import Asked, Records, graph, measured_jobs
from daisy.workflow.planned import Machine


@dataclasses.dataclass(frozen=True)
class Compared:
    """A job that ran.

    Attributes:
        rule: Its rule.
        task: Its task, if it has one.
        predicted: Seconds, by other runs; None if they do not tell.
        taken: Seconds.
    """

    rule: str
    task: str
    predicted: float | None
    taken: float


def compare(asked: Asked, machine: Machine, clock: Clock) -> tuple[list[Compared], int]:
    """The jobs of a run that are measured, and how many it has.

    Jobs that ran as earlier code or another config has them are not of the run any more.

    Args:
        asked: The run.
        machine: On which it ran.
        clock: ``cpu`` compares the time of processors, which a busy machine does not lengthen.

    Raises:
        DaisyError: if the run is not there, or Snakemake finds a fault in the workflow or the config, or is running in
            this folder.
    """

    def look(workflow: Any) -> tuple[list[Compared], int]:
        home = workflow.globals["flow"].context.home
        if not Path(home).is_dir():
            raise DaisyError("no run is here", file=home, fix="Run it first, or name the config of one that ran")
        own = {str(Path(str(job.benchmark))): job for job in workflow.dag.jobs if job.benchmark}
        records = Records(workflow, machine, lambda file: file not in own, clock)
        ran = measured_jobs(workflow.rules, home, clock)
        return [
            Compared(own[item.file].rule.name, item.job.task, records.seconds(own[item.file])[0], item.seconds)
            for item in ran
            if item.file in own
        ], len(own)

    return graph(asked, machine, look)


def render(jobs: Sequence[Compared], count: int) -> str:
    """Predicted and taken, rule by rule and of all that is predicted, of a run of so many jobs."""
    if not jobs:
        return "Nothing of this run was measured: it has no benchmarks."
    groups: dict[tuple[str, str], list[Compared]] = {}
    for job in jobs:
        groups.setdefault((job.rule, job.task), []).append(job)
    rows = [("stage", "task", "jobs", "predicted", "taken", "ratio")]
    rows += [(rule, task, *_numbers(members)) for (rule, task), members in sorted(groups.items())]
    known = [job for job in jobs if job.predicted is not None]
    if known:
        rows.append(("all that is predicted", "", *_numbers(known)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        for pairs in (zip(row, widths, strict=True) for row in rows)
    ]
    if len(jobs) < count:
        lines += ["", f"Of {count} jobs {count - len(jobs)} have not run, or ran with other code, settings or inputs."]
    return "\n".join(lines)


def _numbers(jobs: Sequence[Compared]) -> tuple[str, str, str, str]:
    """How many, predicted, taken, and the first over the second; of jobs of which some are unknown, of the others."""
    pairs = [(job.predicted, job.taken) for job in jobs if job.predicted is not None]
    if not pairs:
        return str(len(jobs)), "?", f"{sum(job.taken for job in jobs):.1f} s", ""
    predicted, taken = map(sum, zip(*pairs, strict=True))
    count = str(len(jobs)) if len(pairs) == len(jobs) else f"{len(pairs)} of {len(jobs)}"
    return count, f"{predicted:.1f} s", f"{taken:.1f} s", f"{predicted / taken:.2f}" if taken else ""
