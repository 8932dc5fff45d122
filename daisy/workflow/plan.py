"""What a run would do and why, from Snakemake's own records, before anything runs.

For every job that Snakemake would run: which config value changed and from what to what, whose code changed, or
what is missing; and how long such a job took when it was last measured.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.common.files import read_csv
from daisy.errors import DaisyError
from daisy.workflow.digests import module_file
from daisy.workflow.estimates import Clock, Estimates, GpuPage, Measured, Ran, Rule, measured, stage_of, streams
from daisy.workflow.inputs import Fault, can_submit, gpu_here, inputs, needs
from daisy.workflow.upgrades import Outdated, outdated
from daisy.workflow.work import Work

KEY = re.compile(r'-[0-9a-f]{12}(?=[/."-]|$)')
"""The key in the name of a store's folder, and of files named after it."""


EARLIER = "an earlier version of daisy made it"
"""Why something runs whose code has other modules now; what that version made stays in the store."""


@dataclasses.dataclass(frozen=True)
class Planned:
    """A job that would run.

    Attributes:
        rule: Its rule.
        reasons: Why, each as a short phrase.
        seconds: How long it would take; None if nobody knows.
        threads: How many cores it takes.
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
    """

    jobs: list[Planned]
    outdated: list[Outdated]
    faults: list[Fault] = dataclasses.field(default_factory=list)


def plan(snakefile: Path, configfiles: Sequence[Path], targets: Sequence[str], cores: int) -> Plan:
    """What `snakemake` would do.

    Args:
        snakefile: The workflow.
        configfiles: Laid over its own config, the last one uppermost.
        targets: Rules or files; the workflow's default target if empty.
        cores: Cores of the run; a job's threads are scaled down to them.

    Raises:
        DaisyError: if Snakemake finds a fault in the workflow or the config, or is running in this folder.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings import types

    with SnakemakeApi(types.OutputSettings(quiet={types.Quietness.ALL})) as api:
        try:
            workflow = api.workflow(
                resource_settings=types.ResourceSettings(cores=cores),
                config_settings=types.ConfigSettings(configfiles=[path.resolve() for path in configfiles]),
                snakefile=snakefile.resolve(),
            )
            settings = types.DAGSettings(targets=set(targets))
            workflow.dag(settings).execute_workflow(executor="dryrun")
            # Snakemake's interface says what would run; only the graph behind it says why.
            records = Records(workflow._workflow)
            jobs = [records.planned(job) for level in records.dag.toposorted() for job in records.waiting(level)]
            faults = inputs(records.flow.context, needs(workflow._workflow), submits=can_submit())
            return Plan(jobs, records.outdated, faults)
        except (Exception, SystemExit) as error:
            raise _first_cause(error) from None


def _first_cause(error: BaseException) -> DaisyError:
    """The project's own error behind one of Snakemake's, or one that says the same."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DaisyError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return DaisyError(str(error).strip() or type(error).__name__, fix="Correct it, then plan again")


class Records:
    """What Snakemake knows about the jobs of a workflow and about what made the files that are there."""

    def __init__(self, workflow: Any) -> None:
        self.dag, self._persistence = workflow.dag, workflow.persistence
        self.flow = workflow.globals["flow"]
        context = self.flow.context
        self.outdated = outdated(context)
        self._versions = {output: str(item) for item in self.outdated for output in item.outputs}
        table = Path(context.home) / "store.csv"
        rows = read_csv(table, columns=("folder",)) if table.exists() else []
        self._folders = {KEY.sub("", f"{row['folder']}/"): row["folder"] for row in rows}
        self._work, model = Work(context, self.flow.sizes), (context.shape.layers, context.shape.dim)
        gpu = None if context.config.compute.device == "cpu" else gpu_here()
        if gpu is None and context.config.compute.device == "cuda":
            gpu = ""
        self._page = GpuPage(context.project, model) if gpu is not None else None
        self._estimates = Estimates(measured_jobs(workflow.rules, context.home), model, gpu)

    def waiting(self, jobs: Iterable[Any]) -> list[Any]:
        """Those of `jobs` that would run and make something."""
        return sorted((job for job in jobs if self.dag.needrun(job) and job.output), key=lambda job: str(job.output[0]))

    def planned(self, job: Any) -> Planned:
        """A job with its reasons."""
        seconds, source = self._seconds(job)
        key = KEY.search(str(job.output[0]))
        return Planned(
            job.rule.name,
            tuple(dict.fromkeys(self._reasons(job))),
            seconds,
            job.threads,
            int(job.resources.get("disk_mb", 0)),
            job.wildcards_dict.get("task"),
            job.wildcards_dict.get("method"),
            key[0].removeprefix("-") if key else None,
            str(job.output[0]),
            source,
        )

    def _seconds(self, job: Any) -> tuple[float | None, str]:
        """How long a job would take, and where that is from."""
        settings = job.params.get("settings")
        if not isinstance(settings, str) or not settings.startswith("{"):
            return None, ""
        ran = Ran(stage_of(job.rule), json.loads(settings), job.wildcards_dict, job.threads, streams(job.params))
        amounts = self._work.amounts(ran)
        seconds = self._estimates.seconds(ran, amounts)
        if seconds is not None:
            return seconds, "measured"
        seconds = self._page.seconds(ran, amounts) if self._page else None
        return (None, "") if seconds is None or self._page is None else (seconds, self._page.gpu)

    def _reasons(self, job: Any) -> Iterator[str]:
        reason = self.dag.reason(job)
        recorded = self._persistence.params(job.output[0]) or self._earlier(job)
        if recorded:
            yield from changes(recorded, self._persistence._params(job))
        if reason.code_changed:
            yield "its rule changed"
        own = {str(path): path for path in job.output}
        gone = sorted(name for name in map(str, reason.missing_output) if self._persistence.metadata(own[name]))
        if gone:
            yield f"{gone[0]} is gone"
        elif not recorded:
            yield "not made yet"
        if reason.updated_input:
            yield f"{min(map(str, reason.updated_input))} is newer"
        if reason.forced:
            yield next((self._versions[name] for name in own if name in self._versions), "asked for")
        before = sorted({other.rule.name for other in self.dag.dependencies[job] if self.dag.needrun(other)})
        if before and recorded:
            yield f"after {', '.join(before)}"
        elif reason.input_changed:
            yield "it reads other files than before"

    def _earlier(self, job: Any) -> list[str] | None:
        """The parameters that made what this run used in place of a new folder of the store."""
        from snakemake.io import IOFile

        folder, _, name = str(job.output[0]).rpartition("/")
        earlier = self._folders.get(KEY.sub("", f"{folder}/"))
        return self._persistence.params(IOFile(f"{earlier}/{name}", rule=job.rule)) if earlier else None


def changes(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """What differs between two records of a job's parameters, as Snakemake keeps them."""
    (old_settings, old_code), (new_settings, new_code) = _parsed(old), _parsed(new)
    differences = []
    for key in sorted({*old_settings, *new_settings}):
        before, now = (settings.get(key, "none") for settings in (old_settings, new_settings))
        if KEY.sub("", before) != KEY.sub("", now):
            differences.append(f"{key}: {before} → {now}")
        elif before != now:
            differences.append("other folders of the store")
    if any(module_file(name) is None for name in old_code):
        return [EARLIER]
    modules = sorted(name for name in {*old_code, *new_code} if old_code.get(name) != new_code.get(name))
    return differences + [f"code of {name.replace('.', '/')}.py" for name in modules]


def _parsed(record: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings with dotted keys, and digests by module, of a record."""
    settings: dict[str, str] = {}
    code: dict[str, str] = {}
    for text in record:
        try:
            value = ast.literal_eval(text)
            if isinstance(value, dict):
                code |= value
            elif isinstance(value, str) and value.startswith("{"):
                settings |= dict(_flat(json.loads(value)))
        except (ValueError, SyntaxError):
            continue  # a path or the like
    return settings, code


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(item, ensure_ascii=False)


def measured_jobs(rules: Iterable[Any], home: str, clock: Clock = "seconds") -> list[Measured]:
    """The jobs that ran, of this run, of those in folders beside it, and of the store.

    Args:
        rules: Of the workflow.
        home: The run's folder.
        clock: See `daisy.workflow.estimates.measured`.
    """
    rules = [rule for rule in rules if rule.benchmark and rule.log]
    folders = {str(Path(str(rule.benchmark)).parent) for rule in rules}
    found = []
    for folder in sorted(folders):
        beside = Path(home).parent.glob("*") if folder.startswith(f"{home}/") else [Path(home)]
        for run in sorted(beside):
            known = {rule.name: Rule(stage_of(rule), _log_of(rule, home, str(run))) for rule in rules}
            found += measured(Path(_moved(folder, home, str(run))), known, clock)
    return found


def _log_of(rule: Any, home: str, run: str) -> Callable[[dict[str, str]], str]:
    """What gives the log of a rule's job in a run's folder."""
    return lambda wildcards: _moved(str(rule.log[0].apply_wildcards(wildcards)), home, run)


def _moved(path: str, home: str, run: str) -> str:
    """A path of the run's folder, in another run's."""
    return f"{run}{path.removeprefix(home)}" if path.startswith(f"{home}/") else path


def render(plan: Plan, cores: int) -> str:
    """The plan as text: rules with the number of jobs, the time they take, and why they run; then what is outdated."""
    lines = [_table(plan.jobs, cores) if plan.jobs else "Nothing to be done: every result is there and up to date."]
    if plan.faults:
        lines += ["", "Before the first job:", *(f"  {fault}" for fault in plan.faults)]
    if plan.outdated:
        lines += ["", "Made with other versions of libraries (`upgrades: rerun` makes it again):"]
        lines += [f"  {item}" for item in plan.outdated]
    return "\n".join(lines)


def _table(jobs: Sequence[Planned], cores: int) -> str:
    groups: dict[tuple[str, tuple[str, ...]], list[Planned]] = collections.defaultdict(list)
    for job in jobs:
        groups[job.rule, job.reasons].append(job)
    rows = [("stage", "jobs", "time", "disk", "because")]
    for (rule, reasons), members in groups.items():
        first, *others = reasons or ("its input is made anew",)
        known = [job for job in members if job.seconds is not None]
        more = "+" if 0 < len(known) < len(members) else ""
        rows.append((rule, str(len(members)), _time(known, cores) + more, _disk(members), first))
        rows += [("", "", "", "", other) for other in others]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(row[place].rjust(widths[place]) for place in (1, 2, 3)), row[4]])
        for row in rows
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *_totals(jobs, cores)])


def _totals(jobs: Sequence[Planned], cores: int) -> list[str]:
    """Jobs, time and disk in all, what of the time is unknown, and where the rest is from if not from jobs that ran."""
    unknown = [job.rule for job in jobs if job.seconds is None]
    time = _time([job for job in jobs if job.seconds is not None], cores)
    on = f"on {cores} core{'s' * (cores != 1)}"
    disk = f"{_disk(jobs)} of disk" if _disk(jobs) else "hardly any disk"
    known = f"{time} {on}" if not unknown else f"{time} {on} and what is unknown"
    lines = [
        f"{len(jobs)} job{'s' * (len(jobs) != 1)}, {'time unknown' if len(unknown) == len(jobs) else known}, {disk}"
    ]
    if unknown:
        counts = ", ".join(f"{count} {rule}" for rule, count in sorted(collections.Counter(unknown).items()))
        lines.append(f"Unknown, since nothing like it was measured with this model, device and precision: {counts}.")
    pages = sorted({job.source for job in jobs} - {"", "measured"})
    for page in pages:
        count = sum(job.source == page for job in jobs)
        lines.append(f"The time of {count} jobs is by the project's benchmarks on {page}.")
    return lines


def _disk(jobs: Sequence[Planned]) -> str:
    """Disk that `jobs` take; nothing where it is hardly any."""
    size = sum(job.disk_mb for job in jobs) / 1000
    return f"{size:.1f} GB" if size >= 0.05 else ""


def _time(jobs: Sequence[Planned], cores: int) -> str:
    """Time of `jobs` on `cores` that are never idle."""
    known = [job.seconds * min(job.threads, cores) for job in jobs if job.seconds is not None]
    if not known:
        return "?"
    seconds = sum(known) / cores
    if seconds < 60:
        return f"about {seconds:.0f} s" if seconds >= 1 else "under 1 s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"
