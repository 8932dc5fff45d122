"""How long a job would take, from what other jobs of its stage took: a start, and so much for each unit of work.

A stage's record (`daisy.common.spent`) says how much of each unit it did, and in what time; Snakemake's benchmark says
how long the whole job took, and with which settings. Only jobs that do the same to every unit are compared: of one
stage, with a frozen model of one shape, on one kind of device, in one precision, and with the settings of `kind`.
Nothing is taken over from another scale: what was never measured so is unknown.
"""

from __future__ import annotations

import ast
import csv
import dataclasses
import functools
import json
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from daisy.tasks.registry import TASKS

Clock = Literal["seconds", "cpu"]

_STAGE = re.compile(r"-m daisy\.([\w.]+)")

CLUSTERED = "frames times clusters"
"""The unit of k-means."""

_SPREAD = 3
"""From what range of amounts on a start and a rate can be told apart."""


def stage_of(rule: Any) -> str:
    """The stage that a rule runs, without the package; its own name where the rule has many."""
    found = _STAGE.search(rule.shellcmd or "")
    return found[1] if found else str(rule.name)


@dataclasses.dataclass(frozen=True)
class Ran:
    """A job, as far as its time depends on it.

    Attributes:
        stage: What it runs.
        settings: The stage's.
        wildcards: Of its rule.
        threads: How many cores it has.
        streams: Whether the frozen model runs while a downstream model is trained or evaluated.
        model: Layers and width of the model that it runs, where that is not the run's frozen model.
    """

    stage: str
    settings: Mapping[str, Any]
    wildcards: Mapping[str, str]
    threads: int
    streams: bool = False
    model: tuple[int, int] | None = None

    @property
    def task(self) -> str:
        """Its task, if it has one."""
        return str(self.settings.get("task") or self.wildcards.get("task", ""))

    @property
    def precision(self) -> str:
        """In which it computes; empty where it computes nothing."""
        return str(self.settings.get("compute", {}).get("precision", ""))

    @property
    def on_gpu(self) -> bool:
        """Whether it may use a GPU."""
        return self.settings.get("compute", {}).get("device", "cpu") != "cpu"


def kind(job: Ran) -> tuple[str, ...]:
    """What decides how long a unit of a job's work takes, beside device, precision and the frozen model."""
    chosen, method = job.settings, job.settings.get("method", {})
    adaptive = str(method.get("kind") in ("daisy", "task-ee"))
    return tuple(
        json.dumps(item, sort_keys=True)
        for item in {
            "targets.dump": [chosen.get("layer")],
            "targets.label": [chosen.get("kind"), chosen.get("layer")],
            "branches.train": [chosen.get("position")],
            "students.distil": [chosen.get("layers"), chosen.get("heads"), chosen.get("front_end")],
            "features.states": [chosen.get("view")],
            "downstream.train": [job.task, chosen.get("options"), chosen.get("states"), job.streams],
            "downstream.train_task_exits": [job.task, chosen.get("options"), chosen.get("states"), job.streams],
            "evaluation.evaluate": [job.task, method.get("kind"), len(chosen.get("strategies", ())), job.streams],
            "noise.evaluate": [job.task, adaptive, len(chosen.get("strategies", ())), job.streams],
            "published_corpus": [job.wildcards.get("published")],
        }.get(job.stage, [])
    )


def weight(job: Ran, unit: str, facts: Mapping[str, Any]) -> float | None:
    """What a unit of a job's work weighs, so that jobs with other settings can be compared; None if nobody knows.

    Args:
        job: The job.
        unit: The unit.
        facts: What its record notes, or the plan knows.
    """
    chosen = job.settings
    if unit == "steps" and job.stage in ("branches.train", "students.distil"):
        audio = facts.get("seconds_per_step")
        return None if audio is None else float(audio)
    if unit == "steps":
        frames = facts.get("frames_per_recording")
        if frames == 1:
            return 1.0  # of recordings that are one vector each, a step takes as long however many there are
        return None if frames is None else chosen["batch_size"] * float(frames)
    if unit == "mixtures":
        return float(sum(chosen["seconds"])) / 2
    if job.stage == "noise.noisy":
        seconds = facts.get("seconds_per_recording")
        return None if seconds is None else (1 + len(chosen["kinds"]) * len(chosen["snr_db"])) * float(seconds)
    if unit.startswith(("test frames", "dev frames")) and job.stage == "evaluation.evaluate" and TASKS[job.task].waves:
        return 1 / job.threads  # signals are judged by processes, on a core each
    return 1.0


@dataclasses.dataclass(frozen=True)
class Measured:
    """A job that ran.

    Attributes:
        job: What it was.
        seconds: How long it took.
        fixed: What of that no amount of work changes.
        parts: By unit, how much work it did, weighted, and in what time.
        model: Layers and width of the frozen model; None if it reads none.
        device: ``cpu``, or the name of a GPU; None if it computed on none.
        file: Of its benchmark.
    """

    job: Ran
    seconds: float
    fixed: float
    parts: Mapping[str, tuple[float, float]]
    model: tuple[int, int] | None
    device: str | None
    file: str = ""


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule of the workflow.

    Attributes:
        stage: What it runs.
        log: The path of its log, beside which its record lies, from its wildcards.
    """

    stage: str
    log: Callable[[dict[str, str]], str]


def streams(params: Mapping[str, Any]) -> bool:
    """Whether states are made while they are used, by the parameters of a rule."""
    return bool(params.get("checkpoint")) or params.get("states") == ""


def measured(folder: Path, rules: Mapping[str, Rule], clock: Clock = "seconds") -> list[Measured]:
    """The jobs whose benchmarks are in a folder and whose records tell what drove them.

    Args:
        folder: With Snakemake's benchmarks.
        rules: By name, with the logs of this folder's run.
        clock: ``cpu`` for the time of processors, which a busy machine does not lengthen.
    """
    found = []
    for file in sorted(folder.glob("*.tsv")):
        try:
            with open(file, newline="", encoding="utf-8") as lines:
                row = list(csv.DictReader(lines, delimiter="\t"))[-1]
            rule, wildcards = rules[row["rule_name"]], ast.literal_eval(row["wildcards"])
            record = Path(f"{rule.log(wildcards)}.json")
            spent = json.loads(record.read_text("utf-8"))["spent"]
            found.append(_measured(row, rule.stage, wildcards, spent, clock, str(file)))
        except (OSError, ValueError, KeyError, IndexError, TypeError, SyntaxError, AttributeError):
            continue  # an old or damaged one tells nothing
    return found


def _measured(
    row: Mapping[str, str], stage: str, wildcards: dict[str, str], spent: Any, clock: Clock, file: str
) -> Measured:
    """A row of a benchmark with its record.

    Raises:
        ValueError: if nobody can tell how much it did.
    """
    params = ast.literal_eval(row["params"])
    job = Ran(stage, json.loads(params["settings"]), wildcards, int(row["threads"]), streams(params))
    parts = {}
    for unit, taken in spent["parts"].items():
        heavy = weight(job, unit, spent)
        if heavy is None:
            raise ValueError(f"no weight for {unit}")
        parts[unit] = (taken["amount"] * heavy, _warm(taken, clock))
    seconds = float(spent["cpu"] if clock == "cpu" else row["s"])
    fixed = max(0.0, seconds - sum(taken for _, taken in parts.values()))
    model = spent.get("model")
    return Measured(job, seconds, fixed, parts, tuple(model) if model else None, spent.get("device"), file)


def _warm(taken: Mapping[str, Any], clock: Clock) -> float:
    """What work would have taken by the rate of all but what was done first, if anything was done later.

    What was done first also warmed up, which no further work does: that is a part of the start.
    """
    first, seconds = taken["first"], float(taken[clock])
    later = taken["amount"] - first["amount"]
    if later <= 0:
        return seconds
    rest = seconds - first[clock]
    return rest + min(float(first[clock]), rest / later * first["amount"])


class Estimates:
    """What is known of jobs that ran.

    Args:
        known: They.
        model: Layers and width of the frozen model of the jobs that are to come.
        gpu: The GPU on which those would compute; empty for one that nobody knows, None for none.
    """

    def __init__(self, known: Iterable[Measured], model: tuple[int, int], gpu: str | None) -> None:
        self._model, self._gpu = model, gpu
        self._known: dict[tuple[str, ...], list[Measured]] = {}
        for item in known:
            self._known.setdefault((item.job.stage, *kind(item.job)), []).append(item)

    def seconds(self, job: Ran, amounts: Mapping[str, float] | None) -> float | None:
        """How long a job would take; None if no job that can be compared was measured.

        Args:
            job: The job.
            amounts: By unit, the work that it would do, weighted; None if nobody knows.
        """
        if amounts is None:
            return None
        alike = [item for item in self._known.get((job.stage, *kind(job)), ()) if self._comparable(item, job, amounts)]
        alike = [item for item in alike if item.job.threads == job.threads] or alike
        if not alike:
            return None
        work = sum(line([item.parts[unit] for item in alike], amount) for unit, amount in amounts.items())
        return statistics.median(item.fixed for item in alike) + work

    def _comparable(self, item: Measured, job: Ran, amounts: Mapping[str, float]) -> bool:
        there = {"cpu"} if self._gpu is None or not job.on_gpu else {self._gpu}
        same = item.device is None or item.device in there or (there == {""} and item.device != "cpu")
        return (
            same
            and item.job.precision == job.precision
            and item.model in (None, job.model or self._model)
            and set(item.parts) == set(amounts)
            and all(_near(unit, item.parts[unit][0], amount) for unit, amount in amounts.items())
        )


def _near(unit: str, measured: float, wanted: float) -> bool:
    """Whether one amount tells about another: k-means at another scale stops after another number of steps."""
    return unit != CLUSTERED or wanted / _SPREAD <= measured <= wanted * _SPREAD


def line(points: Sequence[tuple[float, float]], amount: float) -> float:
    """Seconds for an amount of work, by what other amounts took: a start and a rate, neither of them negative.

    A short job is mostly start, and a long one mostly rate; both are told by jobs of different lengths alone. Errors
    grow with the amounts, and so does what a point counts less.

    Args:
        points: Amounts and their seconds.
        amount: The amount in question.
    """
    points = [point for point in points if point[0] > 0]
    if not points or amount <= 0:
        return 0.0
    total, taken = (sum(column) for column in zip(*points, strict=True))
    start, rate = 0.0, taken / total
    if len(points) > 2 and max(points)[0] >= _SPREAD * min(points)[0]:
        weights = [1 / size for size, _ in points]
        x = sum(w * size for w, (size, _) in zip(weights, points, strict=True)) / sum(weights)
        y = sum(w * taken for w, (_, taken) in zip(weights, points, strict=True)) / sum(weights)
        over = sum(w * (size - x) * (taken - y) for w, (size, taken) in zip(weights, points, strict=True))
        slope = over / sum(w * (size - x) ** 2 for w, (size, _) in zip(weights, points, strict=True))
        if slope > 0 and y - slope * x >= 0:
            start, rate = y - slope * x, slope
    return start + rate * amount


PAGE = "benchmarks/measured/gpu"
"""The numbers of the page of benchmarks, in a checkout of the project."""

_LAUNCH = 15.0
"""Seconds until a job on a GPU computes: Python, torch, CUDA, the model. Ours: the page tells rates alone."""

_PAGE_ROWS: Mapping[str, str] = {
    "targets.dump": "dump {precision}",
    "targets.label": "label {precision}",
    "branches.train": "branches {precision}, first epoch",
    "features.states": "extract {what} {precision}",
    "features.entropies": "extract last {precision}",
}
"""The rows of its table of stages that say how fast the frozen model passes over audio in a stage."""


class GpuPage:
    """Throughput that was measured on a GPU, for one shape of model.

    Args:
        project: The folder of the Snakefile.
        model: Layers and width of the frozen model.

    Attributes:
        gpu: Where it was measured; empty if there is no page, or it is of another shape.
    """

    def __init__(self, project: Path, model: tuple[int, int]) -> None:
        folder = project / PAGE
        machines = [row for row in _table(folder / "machines.csv") if row["part"] == "stages"]
        fits = [row for row in machines if (int(row["layers"]), int(row["width"])) == model]
        self.gpu = fits[0]["processor"] if fits else ""
        rows = _table(folder / "stages.csv") if fits else []
        self._ratios = {row["system"]: float(row["ratio"]) for row in rows if row["against"] == "real time"}

    def seconds(self, job: Ran, amounts: Mapping[str, float] | None) -> float | None:
        """How long a job would take there; None if the page does not tell."""
        if not amounts or job.stage not in _PAGE_ROWS or job.model is not None:
            return None
        what = "last" if job.settings.get("view", {}).get("pooled") else "all"
        ratio = self._ratios.get(_PAGE_ROWS[job.stage].format(precision=job.precision, what=what))
        return None if ratio is None else _LAUNCH + ratio * sum(amounts.values())


@functools.cache
def _table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
