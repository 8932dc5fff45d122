"""Which outputs other versions of the libraries made than those that are installed now."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from daisy.common.versions import installed
from daisy.workflow.context import Context

KEY = re.compile(r"-([0-9a-f]{12})[.-]")
"""The key of a stored stage in the names of its files."""


@dataclasses.dataclass(frozen=True)
class Outdated:
    """What one job made with other versions.

    Attributes:
        job: The job's name, that of its log.
        outputs: Its files.
        changes: Of every package the version then and now; a package that is gone has none now.
    """

    job: str
    outputs: tuple[str, ...]
    changes: dict[str, tuple[str, str]]

    def __str__(self) -> str:
        changes = ", ".join(f"{name} {then} → {now}" for name, (then, now) in self.changes.items())
        return f"{self.job}: {changes}"


def _records(context: Context) -> Iterator[Path]:
    """The records of the run's own jobs, and of the stages of the store that it uses."""
    yield from sorted(Path(context.home, "logs").glob("*.json"))
    for path in sorted(Path(context.store.path("logs")).glob("*.json")):
        key = KEY.search(path.name)
        if key and context.store.knows(key[1]):
            yield path


def outdated(context: Context) -> list[Outdated]:
    """The jobs of a run whose outputs are there and were made with other versions."""
    jobs = []
    for path in _records(context):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            outputs, versions = tuple(value["outputs"]), dict(value["versions"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a record only tells; a damaged one tells nothing
        now = installed(versions)
        changes = {name: (then, now.get(name, "none")) for name, then in versions.items() if now.get(name) != then}
        outputs = tuple(output for output in outputs if Path(output).exists())
        if changes and outputs:
            jobs.append(Outdated(path.name.removesuffix(".log.json"), outputs, changes))
    return jobs


def make_again(workflow: Any, found: Sequence[Outdated]) -> None:
    """Let Snakemake make outputs again where they are part of what it is asked for, as `--forcerun` would.

    Its own setting would also make each of them a target, and it is not there yet while the Snakefile is read.
    """
    outputs = {output for item in found for output in item.outputs}
    prepare = workflow._prepare_dag

    def prepared(*args: Any, **kwargs: Any) -> Any:
        result = prepare(*args, **kwargs)
        workflow.dag.forcefiles.update(outputs)
        return result

    workflow._prepare_dag = prepared


def summary(jobs: Sequence[Outdated]) -> str:
    """What changed, and how much of a run it concerns; empty if nothing did."""
    if not jobs:
        return ""
    changes = {name: change for item in jobs for name, change in item.changes.items()}
    listed = ", ".join(f"{name} {then} → {now}" for name, (then, now) in sorted(changes.items()))
    return f"{len(jobs)} jobs' outputs were made with other versions ({listed}). `upgrades: rerun` makes them again."
