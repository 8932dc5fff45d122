"""Slurm jobs that outlived the Snakemake which submitted them: ended before their outputs are made again.

A Snakemake that is killed leaves its jobs in the queue, and the next one knows nothing of them. It does know, by
Snakemake's own marks, which outputs were begun and not finished; and Slurm knows which jobs of the workflow each of its
own was submitted for.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError


def end_orphans(workflow: Any, seconds: float = 120) -> list[str]:
    """Cancel the Slurm jobs of an earlier Snakemake that still work on what `workflow` is about to make.

    Called when the run holds Snakemake's lock and has started no job: whoever works on its outputs is left over.

    Args:
        workflow: Snakemake's workflow, ready to run.
        seconds: How long to wait until Slurm has ended them.

    Returns:
        The ids of the jobs that were cancelled.

    Raises:
        DaisyError: if Slurm does not answer, or does not end them.
    """
    targets = set(_unfinished_targets(workflow))
    if not targets or shutil.which("squeue") is None:
        return []
    orphans = [number for number in _jobs_of(Path.cwd()) if targets & _targets_of(number)]
    if orphans:
        _ask("scancel", *orphans)
        until = time.monotonic() + seconds
        while set(orphans) & set(_jobs_of(Path.cwd())):
            if time.monotonic() > until:
                raise DaisyError(
                    f"Slurm jobs {', '.join(orphans)} of an earlier run go on {seconds:.0f} s after scancel",
                    fix="Wait until squeue shows them no more, then run again",
                )
            time.sleep(1)
    return orphans


def _unfinished_targets(workflow: Any) -> Iterator[str]:
    """The jobs about to run whose outputs were begun before, as Snakemake spells them on a command line."""
    from snakemake_interface_executor_plugins.utils import encode_target_jobs_cli_args

    # Snakemake's own look at the marks leaves out those whose output is not there yet.
    marked = workflow.persistence._filter_incomplete_keys
    for job in workflow.dag.needrun_jobs():
        if marked([workflow.persistence._get_key(file) for file in job.output]):
            yield from encode_target_jobs_cli_args(job.get_target_spec())


def _jobs_of(folder: Path) -> list[str]:
    """Ids of the user's Slurm jobs, waiting or running, that were submitted from `folder`."""
    listed = _ask("squeue", "--me", "--noheader", "--format=%A %Z").splitlines()
    pairs = [line.strip().split(" ", 1) for line in listed]
    return sorted({number for number, *where in pairs if where and Path(where[0]).resolve() == folder.resolve()})


def _targets_of(number: str) -> set[str]:
    """What a Slurm job was submitted for: `rule:wildcard=value,...` of each of its jobs."""
    try:
        words = shlex.split(_ask("scontrol", "write", "batch_script", number, "-"), comments=True)
    except (DaisyError, ValueError):  # It ended just now, or is a script of the user's own.
        return set()
    if "--target-jobs" not in words:
        return set()
    given = words[words.index("--target-jobs") + 1 :]
    end = next((place for place, word in enumerate(given) if word.startswith("--")), len(given))
    return set(given[:end])


def _ask(*command: str) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise DaisyError(
            f"{command[0]} failed: {outcome.stderr.strip()}",
            fix="An earlier run's Slurm jobs may still write here: run again when Slurm answers",
        )
    return outcome.stdout
