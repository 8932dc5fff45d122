"""What a run would do and why, from Snakemake's own records, before anything runs.

For every job that Snakemake would run: which config value changed and from what to what, whose code changed, or
what is missing; and how long such a job took when it was last measured.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import glob
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.common.files import read_csv
from daisy.errors import DaisyError
from daisy.workflow.digests import module_file
from daisy.workflow.upgrades import Outdated, outdated

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
        seconds: How long it took before, by its own benchmark or else those of its rule; None if nobody knows.
        threads: How many cores it takes.
        disk_mb: What it writes, in MB, where that is much.
    """

    rule: str
    reasons: tuple[str, ...]
    seconds: float | None
    threads: int
    disk_mb: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        jobs: In an order in which they could run.
        outdated: What other versions of the libraries made; kept, unless ``upgrades: rerun`` makes jobs of it.
    """

    jobs: list[Planned]
    outdated: list[Outdated]


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
            return Plan(jobs, records.outdated)
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
        context = workflow.globals["flow"].context
        self.outdated = outdated(context)
        self._versions = {output: str(item) for item in self.outdated for output in item.outputs}
        table = Path(context.home) / "store.csv"
        rows = read_csv(table, columns=("folder",)) if table.exists() else []
        self._folders = {KEY.sub("", f"{row['folder']}/"): row["folder"] for row in rows}

    def waiting(self, jobs: Iterable[Any]) -> list[Any]:
        """Those of `jobs` that would run and make something."""
        return sorted((job for job in jobs if self.dag.needrun(job) and job.output), key=lambda job: str(job.output[0]))

    def planned(self, job: Any) -> Planned:
        """A job with its reasons."""
        return Planned(
            job.rule.name,
            tuple(dict.fromkeys(self._reasons(job))),
            estimate(job.benchmark, job.rule.name),
            job.threads,
            int(job.resources.get("disk_mb", 0)),
        )

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


def estimate(benchmark: object, rule: str) -> float | None:
    """Mean seconds of the benchmarks of a job, whatever the key of its folder, or else of its rule."""
    if not benchmark:
        return None
    path = str(benchmark)
    for pattern in (KEY.sub("-*", path), f"{Path(path).parent}/{rule}*.tsv"):
        seconds = [float(line["s"]) for name in glob.glob(pattern) for line in _benchmark(name)]
        if seconds:
            return sum(seconds) / len(seconds)
    return None


def _benchmark(path: str) -> list[dict[str, str]]:
    header, *lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def render(plan: Plan, cores: int) -> str:
    """The plan as text: rules with the number of jobs, the time they take, and why they run; then what is outdated."""
    lines = [_table(plan.jobs, cores) if plan.jobs else "Nothing to be done: every result is there and up to date."]
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
        rows.append((rule, str(len(members)), _time(members, cores), _disk(members), first))
        rows += [("", "", "", "", other) for other in others]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(row[place].rjust(widths[place]) for place in (1, 2, 3)), row[4]])
        for row in rows
    ]
    unknown = sum(job.seconds is None for job in jobs)
    note = f" ({unknown} jobs were never timed)" if unknown else ""
    total = f"{len(jobs)} jobs, {_time(jobs, cores)} on {cores} cores{note}, {_disk(jobs) or 'little'} of disk"
    return "\n".join([*(line.rstrip() for line in lines), "", total])


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
