"""A copy of the project in which tests run the workflow, edit it, and run it again."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).parent.parent


def laid_over(*configs: Mapping[str, Any]) -> dict[str, Any]:
    """Configs laid over one another, as Snakemake does; the last one is uppermost."""
    config: dict[str, Any] = {}
    for overlay in configs:
        update_config(config, copy.deepcopy(dict(overlay)))
    return config


class Project:
    """The workflow of a folder of its own; downloaded packages are shared with the project's cache.

    Args:
        folder: Where to; it must not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("daisy", "rules", "config", "envs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Snakefile", folder)
        (ROOT / ".cache/debian").mkdir(parents=True, exist_ok=True)
        (folder / ".cache").mkdir()
        (folder / ".cache/debian").symlink_to(ROOT / ".cache/debian")

    @property
    def results(self) -> Path:
        """The folder of the nano run."""
        return self.folder / "results/nano"

    def run(
        self,
        *arguments: str,
        overlay: Mapping[str, Any] | None = None,
        check: bool = True,
        config: str = "config/test.yaml",
    ) -> subprocess.CompletedProcess[str]:
        """Run `snakemake` on the nano config, or another one, with `overlay` laid over it."""
        configs = [config]
        if overlay:
            configs.append("overlay.yaml")
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(dict(overlay), sort_keys=False))
        command = [sys.executable, "-m", "snakemake", "--configfile", *configs]
        if "--cores" not in arguments:
            command += ["--cores", "2"]
        outcome = self._start([*command, *arguments])
        assert not check or outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-6000:]
        return outcome

    def daisy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command `daisy`."""
        return self._start([sys.executable, "-m", "daisy.cli.main", *arguments])

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python."""
        return self._start([sys.executable, *arguments])

    def _start(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        # The folder's own package comes before the one that is installed.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(self.folder)}
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, env=environment)

    def would_run(self, *options: str, **given: Any) -> dict[str, int]:
        """The jobs per rule of a dry run, by the arguments of `run`; none if there is nothing to do."""
        outcome = self.run("--dry-run", *options, **given)
        lines = (outcome.stdout + outcome.stderr).splitlines()
        pairs = [line.split() for line in lines]
        jobs = {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}
        return {rule: count for rule, count in jobs.items() if rule.isidentifier() and rule not in ("all", "total")}
