"""A cluster for all tests of this folder, and the project on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from cluster import CannotRun, Cluster, cluster
from project import Project, tables

NANO = "config/test.yaml"
TABLES = ["results/short/tables/grid.csv"]
SHORT = {
    "run": "short",
    "tasks": {"asr": None, "se": None, "ss": None, "sid": {"steps": 4800, "dev_every": 1200}},
    "downstream": {"methods": ["full", "daisy"], "save_every": 50},
    "thresholds": {"rho": [1.0]},
    "noise": {"tasks": []},
    "ablation": {"tasks": ["sid"]},
}
"""Trainings of some fifteen seconds, and what their tables need."""


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A running cluster."""
    context = cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    try:
        running = context.__enter__()
    except CannotRun as reason:
        print(f"\nNOT TESTED ON SLURM: {reason}", file=sys.__stderr__, flush=True)
        pytest.skip(str(reason))
    try:
        yield running
    finally:
        context.__exit__(None, None, None)


class Site:
    """The project in a folder that all nodes of a cluster see."""

    def __init__(self, project: Project, slurm: Cluster) -> None:
        self.project, self.slurm, self.folder = project, slurm, project.folder
        (self.folder / "short.yaml").write_text(yaml.safe_dump(SHORT))

    def start(self, *arguments: str, configs: Sequence[str] = (NANO, "short.yaml")) -> Running:
        """Start `snakemake --profile slurm`."""
        command = ["snakemake", "--profile", "slurm", "--configfile", *configs, *arguments]
        return Running(command, self.folder, self.slurm.path(self.project.environment))

    def jobs(self, **wanted: str) -> dict[str, dict[str, str]]:
        """What the cluster says of every job that it knows, by their ids; of those with the `wanted` values."""
        found = {}
        for line in self.slurm.ask("scontrol", "--oneliner", "show", "job").splitlines():
            job = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "JobId" in job and all(job.get(key) == value for key, value in wanted.items()):
                found[job["JobId"]] = job
        return found

    def train_again(self, *options: str, targets: Sequence[str] = TABLES) -> Running:
        """Remove the short run, start it, and wait until a training has saved a state and goes on."""
        shutil.rmtree(self.folder / "results/short")
        running = self.start(*options, "--", *targets)
        running.wait_for(lambda: list(self.folder.glob("results/short/state/*/state.pt")))
        return running

    @property
    def training(self) -> str:
        """The id of the job that trains."""
        (number,) = self.jobs(JobState="RUNNING")
        return number

    @property
    def resumed(self) -> bool:
        """Whether a training of the short run went on from its saved state."""
        return any("resumed at step" in log.read_text() for log in self.folder.glob("results/short/logs/downstream-*"))

    @property
    def numbers(self) -> dict[str, object]:
        """The tables and the trained models of the short run."""
        run = self.folder / "results/short"
        models = {str(path): path.read_bytes() for path in sorted(run.glob("downstream/**/model.safetensors"))}
        assert models
        return tables(run, ("grid", "entropy", "exits", "thresholds")) | models


class Running:
    """A `snakemake` at work, in a process group of its own."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def end(self, status: int = 0, seconds: float = 400) -> str:
        """Wait for its end, which must have the given exit status; what it said."""
        self._process.wait(seconds)
        said = self.said
        assert self._process.returncode == status, said[-6000:]
        return said

    def wait_for(self, sign: Callable[[], object], seconds: float = 120) -> None:
        """Wait, while it goes on, for a sign of its work."""
        until = time.monotonic() + seconds
        while not sign():
            assert self._process.poll() is None and time.monotonic() < until, self.said[-6000:]
            time.sleep(0.1)

    @property
    def said(self) -> str:
        """What it has said so far."""
        self._log.seek(0)
        return self._log.read()

    def kill(self) -> None:
        """End it as nothing else can: it gets no chance to tidy up."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="session")
def site(tmp_path_factory, slurm) -> Site:
    """The project on the cluster."""
    return Site(Project(tmp_path_factory.mktemp("shared") / "project"), slurm)


@pytest.fixture(scope="session")
def nano(site) -> str:
    """The whole nano run on the cluster; what Snakemake said."""
    return site.start(configs=[NANO]).end(seconds=900)


@pytest.fixture(scope="session")
def undisturbed(site) -> dict[str, object]:
    """The tables of the short run that nothing befell; while it goes on, a second Snakemake tries the same."""
    first = site.start("--", *TABLES)
    first.wait_for(lambda: site.jobs(JobState="RUNNING"))
    second = site.start("--", *TABLES)
    (site.folder / "second.log").write_text(second.end(status=1))
    first.end()
    return site.numbers
