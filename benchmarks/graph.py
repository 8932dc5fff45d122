"""What of a run is neither computing nor waiting for the disk: starting Python, and Snakemake.

Table `graph`: where the cores' time went in a finished run (made in one go), from the first job's start to the last
one's end. Columns:

- `what`: `work`, in the jobs but for their start; `starting`, jobs times what starting Python and importing all
  that their stage may use takes; `between`, cores without a job: Snakemake between jobs, and cores that nothing could
  be given to because it waited for another's; `snakemake`, what a run with nothing to do takes.
- `seconds`: of the clock, on all cores together.
- `share`: of the whole run. What the graph costs is at most all but `work`.
- `jobs`: how many.
"""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.options import Options
from benchmarks.table import Row
from daisy.workflow.efficiency import measured_jobs

COLUMNS = ("what", "seconds", "share", "jobs")
ROOT = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that a run made.

    Attributes:
        modules: The project's modules that its stage may use.
        end: When it ended, in seconds.
        seconds: How long it took.
        threads: Cores that it held.
    """

    modules: tuple[str, ...]
    end: float
    seconds: float
    threads: int


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table; none without a finished run."""
    jobs = list(jobs_of(options.run)) if options.run else []
    if not jobs:
        print("NOT MEASURED: graph needs a finished run; make demo makes one, or name it with --run", flush=True)
        return
    imports = {job.modules: f"import {', '.join(job.modules)}" for job in jobs if job.modules}
    starts = {modules: seconds([sys.executable, "-c", text]) for modules, text in imports.items()}
    snakemake = seconds([sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--quiet", "all"])
    yield from shares(jobs, starts, snakemake, options.threads)


def jobs_of(run: Path) -> Iterator[Job]:
    """The jobs of a run, by the benchmarks that Snakemake writes when each ends."""
    for file, row in measured_jobs(run):
        modules = ast.literal_eval(row["params"]).get("code", ())
        yield Job(tuple(modules), file.stat().st_mtime, float(row["s"]), int(row["threads"]))


def seconds(command: Sequence[str]) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - begin


def shares(jobs: Sequence[Job], starts: Mapping[tuple[str, ...], float], snakemake: float, cores: int) -> Iterator[Row]:
    """The rows, from a run's jobs and the seconds that each set of modules takes to start."""
    clock = max(job.end for job in jobs) - min(job.end - job.seconds for job in jobs)
    held = sum(job.seconds * min(job.threads, cores) for job in jobs)
    starting = sum(min(starts.get(job.modules, 0.0), job.seconds) * min(job.threads, cores) for job in jobs)
    times = {
        "work": held - starting,
        "starting": starting,
        "between": max(0.0, clock * cores - held),  # a job's seconds end a little after its benchmark is written
        "snakemake": snakemake * cores,
    }
    for what, value in times.items():
        yield {"what": what, "seconds": value, "share": value / sum(times.values()), "jobs": len(jobs)}
