"""A cluster for all tests of this folder, and the project on it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest
import yaml
from cluster import CannotInstall, Cluster, cluster
from project import Project, laid_over, tables

from daisy.exits.method import FULL
from daisy.workflow.workflow import Workflow

NANO = "config/test.yaml"
FEW = {
    "tasks": {"sid": None, "ss": None},
    "downstream": {"methods": ["full", "daisy", "task-ee"]},
    "thresholds": {"rho": [1.0]},
}
"""What the nano run leaves out on Slurm: second jobs of a kind. Of rules it lacks one, that mixes pairs of speakers."""
TABLES = ["results/short/tables/grid.csv"]
SHORT = {
    "run": "short",
    "tasks": {"asr": None, "se": None, "ss": None, "sid": {"steps": 1200, "dev_every": 400}},
    "downstream": {"methods": ["full", "daisy"], "save_every": 50},
    "thresholds": {"rho": [1.0]},
    "noise": {"tasks": []},
    "ablation": {"tasks": ["sid"]},
}
"""Two short trainings, and what their tables need."""
TOGETHER = [
    *("--groups", *(f"{rule}=short" for rule in ("calibration", "downstream", "evaluation", "tables"))),
    *("--slurm-init-seconds-before-status-checks", "1"),
]
"""The short run is one Slurm job, soon asked after: the waits between jobs are the nano run's to show."""


@pytest.fixture(scope="session")
def slurm(request) -> Iterator[Cluster]:
    """A running cluster."""
    context = cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    try:
        running = context.__enter__()
    except CannotInstall as reason:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nNOT TESTED ON SLURM: {reason}", file=sys.stderr, flush=True)
        pytest.skip(str(reason))
    try:
        yield running
    finally:
        context.__exit__(None, None, None)


class Site:
    """The project in a folder that all nodes of a cluster see."""

    def __init__(self, project: Project, slurm: Cluster) -> None:
        self.project, self.slurm, self.folder = project, slurm, project.folder
        self._started: list[Running] = []
        for name, config in (("few", FEW), ("short", SHORT)):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
        configs = [yaml.safe_load((self.folder / name).read_text()) for name in ("config/config.yaml", NANO)]
        with contextlib.chdir(self.folder):
            self._models = Workflow(laid_over(*configs, SHORT), self.folder).models

    def start(self, *arguments: str, configs: Sequence[str] = (NANO,), within: Sequence[str] = ()) -> Running:
        """Start `snakemake --profile slurm`, or a command that is given it as its last word."""
        command = ["snakemake", "--profile", "slurm", "--configfile", *configs, *arguments]
        if within:
            command = [*within, shlex.join(command)]
        self._started.append(Running(command, self.folder, self.slurm.path(self.project.environment)))
        return self._started[-1]

    def start_few(self) -> Running:
        """Start the nano run, less what it would only repeat."""
        return self.start(configs=(NANO, "few.yaml"))

    def start_short(self, *options: str, targets: Sequence[str] = TABLES) -> Running:
        """Start the short run."""
        return self.start(*TOGETHER, *options, "--", *targets, configs=(NANO, "short.yaml"))

    def calm(self) -> None:
        """End what a test that failed has left, so that the next one finds the project free."""
        left = [running for running in self._started if running.goes_on]
        self._started = []
        if left:
            for running in left:
                running.kill()
            self.slurm.revive()
            self.slurm.ask("scancel", "--user", str(os.getuid()))
            self.slurm.wait(lambda: not self.slurm.ask("squeue", "-h"), "the queue is empty")
            self.start("--unlock").end()

    def jobs(self, **wanted: str) -> dict[str, dict[str, str]]:
        """What the cluster says of every job that it knows, by their ids; of those with the `wanted` values."""
        found = {}
        for line in self.slurm.ask("scontrol", "--oneliner", "--details", "show", "job").splitlines():
            job = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "JobId" in job and all(job.get(key) == value for key, value in wanted.items()):
                found[job["JobId"]] = job
        return found

    @property
    def first_model(self) -> str:
        """What the first training of the short run makes; asked for by itself, it is a Slurm job by itself."""
        return f"{self._models.downstream('sid', FULL, 1337)}/model.safetensors"

    @property
    def _trained(self) -> list[Path]:
        """The folders of the short run's models."""
        return [self.folder / self._models.downstream(*cell) for cell in self._models.evaluations]

    def again(self, *options: str, targets: Sequence[str] = TABLES) -> Running:
        """Remove the short run, its models and all that was made of them, and start it."""
        shutil.rmtree(self.folder / "results/short", ignore_errors=True)
        for made in [*self._trained, *(self.folder / folder for folder in self._models.evaluations.values())]:
            for path in [made, *made.parent.glob(f"*/{made.name}*")]:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return self.start_short(*options, targets=targets)

    def stopped_training(self, *options: str, targets: Sequence[str] = TABLES) -> tuple[Running, Training]:
        """The short run again, at the moment in which a training that has saved a state is held still.

        So that it is there for what befalls it, however fast the machine.
        """
        running = self.again(*options, targets=targets)
        running.wait_for(lambda: list(self.folder.glob(".cache/store/state/downstream-*/state.pt")))
        return running, Training(self)

    def processes(self, *words: str) -> list[psutil.Process]:
        """What works in the project's folder, called with these words behind the program."""
        every = psutil.process_iter(["cwd", "cmdline"])
        here = [process for process in every if process.info["cwd"] == str(self.folder)]
        return [process for process in here if process.info["cmdline"][1 : len(words) + 1] == list(words)]

    @contextlib.contextmanager
    def names(self, **values: str | int) -> Iterator[None]:
        """Within this context, names of the site are set in the profile."""
        profile = self.folder / "slurm/config.yaml"
        before = text = profile.read_text()
        for name, value in values.items():
            text, count = re.subn(rf"^(  {name}:) \S+", rf"\1 {value}", text, flags=re.M)
            assert count == 1, name
        profile.write_text(text)
        try:
            yield
        finally:
            profile.write_text(before)

    @property
    def resumed(self) -> bool:
        """Whether a training of the short run went on from its saved state."""
        logs = [path for made in self._trained for path in made.parent.glob(f"logs/{made.name}*")]
        return any("resumed at step" in log.read_text() for log in logs)

    @property
    def numbers(self) -> dict[str, object]:
        """The tables and the trained models of the short run."""
        models: dict[str, object] = {str(made): (made / "model.safetensors").read_bytes() for made in self._trained}
        return tables(self.folder / "results/short", ("grid", "entropy", "exits", "thresholds")) | models


class Training:
    """The one training of a site, held still.

    Attributes:
        job: The id of its Slurm job.
        node: Where that runs.
    """

    def __init__(self, site: Site) -> None:
        (self._process,) = site.processes("-m", "daisy.downstream.train")
        self._process.suspend()
        ((self.job, running),) = site.jobs(JobState="RUNNING").items()
        self.node = running["NodeList"]
        self._site = site

    @property
    def told_to_end(self) -> bool:
        """Whether a SIGTERM awaits it, or it is gone: with its notice, Slurm lets a job go on that is held."""
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except FileNotFoundError:
            return True
        pending = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
        return any(signals >> (signal.SIGTERM - 1) & 1 for signals in pending)

    @property
    def job_ended(self) -> bool:
        """Whether its job has ended, by the looks of its node."""
        script = self._site.slurm.folder / f"spool/{self.node}/job{int(self.job):05d}/slurm_script"
        return not self._site.processes(str(script))

    def go_on(self) -> None:
        """Let it train."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.resume()


class Running:
    """A `snakemake` at work, in a process group of its own."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def end(self, status: int = 0, seconds: float = 600) -> str:
        """Wait for its end, which must have the given exit status; what it said."""
        self._process.wait(seconds)
        said = self.said
        assert self._process.returncode == status, said[-6000:]
        return said

    def wait_for(self, sign: Callable[[], object], seconds: float = 300) -> None:
        """Wait, while it goes on, for a sign of its work."""
        until = time.monotonic() + seconds
        while not sign():
            assert self.goes_on and time.monotonic() < until, self.said[-6000:]
            time.sleep(0.1)

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

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


@pytest.fixture(autouse=True)
def _calm(site) -> Iterator[None]:
    yield
    site.calm()


@pytest.fixture(scope="session")
def nano(site) -> str:
    """The nano run on the cluster; what Snakemake said."""
    return site.start_few().end(seconds=1800)


@pytest.fixture(scope="session")
def undisturbed(site) -> dict[str, object]:
    """The tables of the short run that nothing befell; while it goes on, a second Snakemake tries the same."""
    first = site.start_short()
    first.wait_for(lambda: site.jobs(JobState="RUNNING"))
    second = site.start_short()
    (site.folder / "second.log").write_text(second.end(status=1))
    first.end()
    return site.numbers
