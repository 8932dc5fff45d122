"""A plan: the jobs that would run, for how long, and how it is told."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from daisy.workflow.inputs import Fault
from daisy.workflow.upgrades import Outdated


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a run has.

    Attributes:
        cores: Cores.
        gpus: GPUs; 0 where nobody says, or there is none.
    """

    cores: int
    gpus: int = 0

    def __str__(self) -> str:
        parts = [(self.cores, "core"), (self.gpus, "GPU")]
        return " and ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in parts if count)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A job that would run.

    Attributes:
        rule: Its rule.
        reasons: Why, each as a short phrase.
        seconds: How long it would take; None if nobody knows.
        threads: How many cores it takes.
        gpus: How many GPUs.
        disk_mb: What it writes, in MB, where that is much.
        task: Its task, if it has one.
        method: Its method, if it has one.
        key: Of the folder of the store that it writes, if it writes there.
        output: The first of its files.
        source: Where `seconds` is from: ``measured``, or the GPU that the page of benchmarks is about.
    """

    rule: str
    reasons: tuple[str, ...]
    seconds: float | None
    threads: int
    gpus: int = 0
    disk_mb: int = 0
    task: str | None = None
    method: str | None = None
    key: str | None = None
    output: str = ""
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        jobs: In an order in which they could run.
        outdated: What other versions of the libraries made; kept, unless ``upgrades: rerun`` makes jobs of it.
        faults: What keeps the run from working, or may.
        machine: What it would run on.
        chain: Seconds of the longest chain of jobs that wait for one another, as far as they are known.
    """

    jobs: list[Planned]
    outdated: list[Outdated]
    faults: list[Fault]
    machine: Machine
    chain: float = 0.0


def render(plan: Plan) -> str:
    """The plan as text: rules with the number of jobs, the time they take, and why they run; then what is outdated."""
    lines = [_table(plan) if plan.jobs else "Nothing to be done: every result is there and up to date."]
    if plan.faults:
        lines += ["", "Before the first job:", *(f"  {fault}" for fault in plan.faults)]
    if plan.outdated:
        lines += ["", "Made with other versions of libraries (`upgrades: rerun` makes it again):"]
        lines += [f"  {item}" for item in plan.outdated]
    return "\n".join(lines)


def _table(plan: Plan) -> str:
    groups: dict[tuple[str, tuple[str, ...]], list[Planned]] = collections.defaultdict(list)
    for job in plan.jobs:
        groups[job.rule, job.reasons].append(job)
    rows = [("stage", "jobs", "time", "disk", "because")]
    for (rule, reasons), members in groups.items():
        first, *others = reasons or ("its input is made anew",)
        more = "+" if 0 < len(_known(members)) < len(members) else ""
        rows.append((rule, str(len(members)), _time(members, plan.machine) + more, _disk(members), first))
        rows += [("", "", "", "", other) for other in others]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(row[place].rjust(widths[place]) for place in (1, 2, 3)), row[4]])
        for row in rows
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *_totals(plan)])


def _totals(plan: Plan) -> list[str]:
    """Jobs, time and disk in all, what of the time is unknown, and where the rest is from if not from jobs that ran."""
    jobs, unknown = plan.jobs, [job.rule for job in plan.jobs if job.seconds is None]
    time = f"{_time(jobs, plan.machine, plan.chain)} on {plan.machine}"
    if unknown:
        time = "time unknown" if len(unknown) == len(jobs) else f"{len(unknown)} of unknown time, the others {time}"
    disk = f"{_disk(jobs)} of disk" if _disk(jobs) else "hardly any disk"
    lines = [f"{_count(len(jobs))}, {time}, {disk}"]
    why = "nothing like it was measured with this model, device and precision"
    if len(unknown) == len(jobs):
        lines.append(f"All of it is unknown, since {why}.")
    elif unknown:
        counts = ", ".join(f"{count} {rule}" for rule, count in sorted(collections.Counter(unknown).items()))
        lines.append(f"Unknown, since {why}: {counts}.")
    for page in sorted({job.source for job in jobs} - {"", "measured"}):
        count = sum(job.source == page for job in jobs)
        lines.append(f"The time of {_count(count)} is by the project's benchmarks on {page}.")
    return lines


def _count(jobs: int) -> str:
    return f"{jobs} job{'s' * (jobs != 1)}"


def _disk(jobs: Sequence[Planned]) -> str:
    """Disk that `jobs` take; nothing where it is hardly any."""
    size = sum(job.disk_mb for job in jobs) / 1000
    return f"{size:.1f} GB" if size >= 0.05 else ""


def _known(jobs: Sequence[Planned]) -> list[tuple[Planned, float]]:
    """The jobs whose time is known, with it."""
    return [(job, job.seconds) for job in jobs if job.seconds is not None]


def elapsed(jobs: Sequence[Planned], machine: Machine, chain: float = 0.0) -> float:
    """Seconds of `jobs` on a machine that is never idle, as far as they are known.

    A job takes its share of the cores or of the GPUs, whichever is more.

    Args:
        jobs: They.
        machine: Where they run.
        chain: Seconds of those of them that wait for one another.
    """
    known = _known(jobs)
    shares = [
        seconds * max(min(1.0, job.threads / machine.cores), min(1.0, job.gpus / max(1, machine.gpus)))
        for job, seconds in known
    ]
    return max([sum(shares), chain, *(seconds for _, seconds in known)])


def _time(jobs: Sequence[Planned], machine: Machine, chain: float = 0.0) -> str:
    if not _known(jobs):
        return "?"
    seconds = elapsed(jobs, machine, chain)
    if seconds < 60:
        return f"about {seconds:.0f} s" if seconds >= 1 else "under 1 s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"
