"""What a run would do and why, from Snakemake's own records, before anything runs.

For every job that Snakemake would run: which config value changed and from what to what, whose code changed, or
what is missing; and how long such a job took when it was last measured.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from daisy.common.files import read_csv
from daisy.common.gpus import first_name, visible
from daisy.errors import DaisyError
from daisy.workflow.digests import module_file
from daisy.workflow.estimates import Clock, Estimates, GpuPage, Measured, Ran, Rule, measured, stage_of, streams
from daisy.workflow.inputs import can_submit, inputs, needs
from daisy.workflow.planned import Machine, Plan, Planned
from daisy.workflow.upgrades import outdated
from daisy.workflow.work import Work

KEY = re.compile(r'-[0-9a-f]{12}(?=[/."-]|$)')
"""The key in the name of a store's folder, and of files named after it."""


Result = TypeVar("Result")

EARLIER = "an earlier version of daisy made it"
"""Why something runs whose code has other modules now; what that version made stays in the store."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What Snakemake is asked for.

    Attributes:
        snakefile: The workflow.
        configfiles: Laid over its own config, the last one uppermost.
        targets: Rules or files; the workflow's default target if empty.
    """

    snakefile: Path
    configfiles: Sequence[Path] = ()
    targets: Sequence[str] = ()


def plan(asked: Asked, machine: Machine) -> Plan:
    """What `snakemake` would do.

    Args:
        asked: The run.
        machine: What it has; a job's threads are scaled down to its cores.

    Raises:
        DaisyError: if Snakemake finds a fault in the workflow or the config, or is running in this folder.
    """

    def look(workflow: Any) -> Plan:
        records = Records(workflow, machine)
        dag, jobs, ends = records.dag, list[Planned](), dict[Any, float]()
        for level in dag.toposorted():
            for job in records.waiting(level):
                jobs.append(records.planned(job))
                before = max((ends.get(other, 0.0) for other in dag.dependencies[job]), default=0.0)
                ends[job] = before + (jobs[-1].seconds or 0.0)
        faults = inputs(records.flow.context, needs(workflow), submits=can_submit())
        return Plan(jobs, records.outdated, faults, records.machine, max(ends.values(), default=0.0))

    return graph(asked, machine, look)


def graph(asked: Asked, machine: Machine, look: Callable[[Any], Result]) -> Result:
    """What `look` finds in Snakemake's workflow, with the graph of its jobs; nothing runs.

    Raises:
        DaisyError: if Snakemake finds a fault in the workflow or the config, or is running in this folder.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings import types

    resources = {"gpu": machine.gpus} if machine.gpus else {}
    with SnakemakeApi(types.OutputSettings(quiet={types.Quietness.ALL})) as api:
        try:
            workflow = api.workflow(
                resource_settings=types.ResourceSettings(cores=machine.cores, resources=resources),
                config_settings=types.ConfigSettings(configfiles=[path.resolve() for path in asked.configfiles]),
                snakefile=asked.snakefile.resolve(),
            )
            settings = types.DAGSettings(targets=set(asked.targets))
            workflow.dag(settings).execute_workflow(executor="dryrun")
            # Snakemake's interface says what would run; only the graph behind it says why.
            return look(workflow._workflow)
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
    """What Snakemake knows about the jobs of a workflow and about what made the files that are there.

    Args:
        workflow: Snakemake's.
        machine: On which they would run.
        known: Tells whether a benchmark counts, by its path.
        clock: See `daisy.workflow.estimates.measured`.

    Attributes:
        machine: The same, with the GPUs that this process may use where nobody says how many there are.
    """

    def __init__(
        self,
        workflow: Any,
        machine: Machine,
        known: Callable[[str], bool] = lambda file: True,
        clock: Clock = "seconds",
    ) -> None:
        self.dag, self._persistence = workflow.dag, workflow.persistence
        self.flow = workflow.globals["flow"]
        context = self.flow.context
        self.outdated = outdated(context)
        self._versions = {output: str(item) for item in self.outdated for output in item.outputs}
        table = Path(context.home) / "store.csv"
        rows = read_csv(table, columns=("folder",)) if table.exists() else []
        self._folders = {KEY.sub("", f"{row['folder']}/"): row["folder"] for row in rows}
        self._work, model = Work(context, self.flow.sizes), (context.shape.layers, context.shape.dim)
        device = context.config.compute.device
        gpu = None if device == "cpu" else first_name()
        if gpu is None and (device == "cuda" or (device == "auto" and machine.gpus)):
            gpu = ""
        here = 0 if gpu is None else machine.gpus or max(1, len(visible()))
        self._gpu, self.machine = gpu, dataclasses.replace(machine, gpus=here)
        self._page = GpuPage(context.project, model) if gpu is not None else None
        counted = [item for item in measured_jobs(workflow.rules, context.home, clock) if known(item.file)]
        self._estimates = Estimates(counted, model, gpu)

    def waiting(self, jobs: Iterable[Any]) -> list[Any]:
        """Those of `jobs` that would run and make something."""
        return sorted((job for job in jobs if self.dag.needrun(job) and job.output), key=lambda job: str(job.output[0]))

    def planned(self, job: Any) -> Planned:
        """A job with its reasons."""
        seconds, source = self.seconds(job)
        key = KEY.search(str(job.output[0]))
        return Planned(
            job.rule.name,
            tuple(dict.fromkeys(self._reasons(job))),
            seconds,
            job.threads,
            self._gpus(job),
            int(job.resources.get("disk_mb", 0)),
            job.wildcards_dict.get("task"),
            job.wildcards_dict.get("method"),
            key[0].removeprefix("-") if key else None,
            str(job.output[0]),
            source,
        )

    def _gpus(self, job: Any) -> int:
        """How many GPUs a job takes: what it asks for, or one if it computes where there are some."""
        settings = job.params.get("settings")
        computes = self._gpu is not None and isinstance(settings, str) and '"compute"' in settings
        return int(job.resources.get("gpu", 0)) or int(computes)

    def seconds(self, job: Any) -> tuple[float | None, str]:
        """How long a job would take, and where that is from; a rule without a benchmark was never measured."""
        settings = job.params.get("settings")
        if not job.rule.benchmark or not isinstance(settings, str) or not settings.startswith("{"):
            return None, ""
        stage, model = stage_of(job.rule), self._model(job)
        ran = Ran(stage, json.loads(settings), job.wildcards_dict, job.threads, streams(job.params), model)
        amounts = self._work.amounts(ran)
        seconds = self._estimates.seconds(ran, amounts)
        if seconds is not None:
            return seconds, "measured"
        seconds = self._page.seconds(ran, amounts) if self._page else None
        return (None, "") if seconds is None or self._page is None else (seconds, self._page.gpu)

    def _model(self, job: Any) -> tuple[int, int] | None:
        """Layers and width of the student, for a job that runs it and not the frozen model."""
        key, context = KEY.search(str(job.output[0])), self.flow.context
        inputs = context.store[key[0].removeprefix("-")].inputs if key else {}
        runs = "student" in inputs and "hubert" not in inputs
        return (context.config.student.layers, context.shape.dim) if runs else None

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
