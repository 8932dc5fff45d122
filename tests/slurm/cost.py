"""What Slurm costs the nano run: `make bench-slurm`. By the clock of this machine, so it is no part of the tests."""

from __future__ import annotations

import re
import time

import paper
from project import Project


def test_the_nano_runs_overhead(site, tmp_path, capsys):
    """Less than a minute, and two seconds for each job, over the same run without Slurm, one after the other."""
    alone = Project(tmp_path / "alone")
    started = time.monotonic()
    alone.run()
    local = time.monotonic() - started
    started = time.monotonic()
    said = site.start().end(seconds=1800)
    through = time.monotonic() - started
    steps = int(re.search(r"(\d+) of \1 steps \(100%\) done", said)[1])
    with capsys.disabled():
        print(f"\n{steps} jobs in {len(site.jobs())} Slurm jobs: {local:.0f} s without Slurm, {through:.0f} s with it")
    assert through - local < 60 + 2 * steps


def test_the_papers_dry_run(site, tmp_path, capsys):
    """At the paper's scale it takes seconds."""
    started = time.monotonic()
    paper.dry_run(site, tmp_path)
    taken = time.monotonic() - started
    with capsys.disabled():
        print(f"\ndry run of the paper's graph: {taken:.1f} s")
    assert taken < 20
