"""What a run's jobs asked for and what they used, by rule: from Snakemake's own benchmarks."""

from __future__ import annotations

import ast
import collections
import csv
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from daisy.common.files import read_csv
from daisy.errors import DaisyError


@dataclasses.dataclass(frozen=True)
class Use:
    """The jobs of one rule.

    Attributes:
        rule: Its name.
        jobs: How many there were.
        minutes: Wall clock of the longest.
        minutes_asked: The time limit that this one had; None where there is none, as on one's own machine.
        memory_mb: Resident memory of the largest, all its processes together.
        memory_mb_asked: The memory that this one asked for; None where it asked for none.
        cores: Cores at work, on average over all jobs.
        cores_asked: The most that one asked for.
    """

    rule: str
    jobs: int
    minutes: float
    minutes_asked: float | None
    memory_mb: float
    memory_mb_asked: float | None
    cores: float
    cores_asked: int


def efficiency(run: Path) -> list[Use]:
    """What each rule of a finished run used, the longest first.

    Args:
        run: Its folder, such as `results/mini`.

    Raises:
        DaisyError: if the run has no benchmarks that tell what was asked.
    """
    rules: dict[str, list[Mapping[str, str]]] = collections.defaultdict(list)
    for _, row in measured_jobs(run):
        rules[row["rule_name"]].append(row)
    if not rules:
        raise DaisyError("no job of the run has been measured", file=run, fix="Name the folder of a finished run")
    return sorted((_use(rule, rows) for rule, rows in rules.items()), key=lambda use: -use.minutes * use.jobs)


def measured_jobs(run: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Snakemake's benchmark of each of a run's jobs, and the file that it is from.

    Raises:
        DaisyError: if one does not tell what its job asked for.
    """
    for file in _benchmarks(run):
        with open(file, newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                if "resources" not in row:
                    raise DaisyError(
                        "the benchmark does not tell what was asked", file=file, fix="Run with --benchmark-extended"
                    )
                yield file, row


def _benchmarks(run: Path) -> Iterator[Path]:
    yield from sorted(run.glob("benchmarks/*.tsv"))
    table = run / "store.csv"
    links = [(run / row["link"]).resolve() for row in read_csv(table, columns=("link",))] if table.exists() else []
    # A folder holds one stage, in several jobs where it is in shards; its name ends with its key.
    for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in links):
        yield from sorted(folder.parent.glob(f"benchmarks/*-{folder.name.rpartition('-')[2]}*.tsv"))


def _use(rule: str, rows: Iterable[Mapping[str, str]]) -> Use:
    jobs = [{**row, "asked": ast.literal_eval(row["resources"])} for row in rows]
    longest: dict[str, Any] = max(jobs, key=lambda job: float(job["s"]))
    largest: dict[str, Any] = max(jobs, key=_memory)
    seconds = sum(float(job["s"]) for job in jobs)
    return Use(
        rule,
        len(jobs),
        float(longest["s"]) / 60,
        longest["asked"].get("runtime"),
        _memory(largest),
        largest["asked"].get("mem_mb"),
        sum(_number(job["cpu_time"]) for job in jobs) / max(seconds, 1e-9),
        max(int(job["threads"]) for job in jobs),
    )


def _memory(job: Mapping[str, Any]) -> float:
    return _number(job["max_rss"])


def _number(text: str) -> float:
    """A measured number; 0 for a job too short to be measured."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def render(uses: Iterable[Use]) -> str:
    """A table of what was used and, of it, what share of the request that is."""
    rows = [("rule", "jobs", "longest", "asked", "used", "most memory", "asked", "used", "cores", "asked")]
    for use in uses:
        rows.append(
            (
                *(use.rule, str(use.jobs), f"{use.minutes:.1f} min"),
                *_share(use.minutes, use.minutes_asked, "min"),
                f"{use.memory_mb:.0f} MB",
                *_share(use.memory_mb, use.memory_mb_asked, "MB"),
                *(f"{use.cores:.1f}", str(use.cores_asked)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(row[place].rjust(widths[place]) for place in range(1, len(row)))])
        for row in rows
    )


def _share(used: float, asked: float | None, unit: str) -> tuple[str, str]:
    return ("-", "-") if asked is None else (f"{asked:.0f} {unit}", f"{used / asked:.0%}")
