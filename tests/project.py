"""A copy of the project in which tests run the workflow, edit it, and run it again."""

from __future__ import annotations

import copy
import csv
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from runners import Outcome, ended
from snakemake.utils import update_config

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests/golden"


def laid_over(*configs: Mapping[str, Any]) -> dict[str, Any]:
    """Configs laid over one another, as Snakemake does; the last one is uppermost."""
    config: dict[str, Any] = {}
    for overlay in configs:
        update_config(config, copy.deepcopy(dict(overlay)))
    return config


TABLES = ("grid", "entropy", "exits", "thresholds", "candidates", "table1", "noise", "noise_wer", "noise_guard")
MEASURED = ("rtf", "speedup")
"""Parts of the names of columns that hold time, which no two runs share."""


def tables(run: Path, names: Sequence[str] = TABLES) -> dict[str, object]:
    """Every number of a run's tables but those of the clock."""
    found: dict[str, object] = {}
    for name in names:
        with open(run / f"tables/{name}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        found[name] = [
            {key: value for key, value in row.items() if not any(part in key for part in MEASURED)} for row in rows
        ]
    return found


def numbers(run: Path) -> dict[str, object]:
    """Those, and the branches' weights."""
    weights = torch.load(run / "branches/daisy.pt", weights_only=True)["model_weight"]
    return tables(run) | {"branches": {name: value.tolist() for name, value in weights.items() if "final_proj" in name}}


class Project:
    """The workflow of a folder of its own; downloaded packages are shared with the project's cache.

    Args:
        folder: Where to; it must not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("daisy", "rules", "config", "envs", "profiles", "slurm"):
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
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run `snakemake` on the nano config, or another one, with `overlay` laid over it.

        Args:
            arguments: On its command line.
            overlay: Laid over the config.
            check: Whether it must succeed.
            config: The config file.
            environment: Variables on top of the project's own.
        """
        configs = [config]
        if overlay:
            configs.append("overlay.yaml")
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(dict(overlay), sort_keys=False))
        command = [sys.executable, "-m", "snakemake", "--configfile", *configs]
        if "--cores" not in arguments:
            command += ["--cores", "2"]
        outcome = ended([*command, *arguments], self.folder, {**self.environment, **(environment or {})})
        assert not check or outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-6000:]
        return outcome

    def daisy(self, *arguments: str) -> Outcome:
        """Run the command `daisy`."""
        return ended([sys.executable, "-m", "daisy.cli.main", *arguments], self.folder, self.environment)

    def python(self, *arguments: str) -> Outcome:
        """Run Python."""
        return ended([sys.executable, *arguments], self.folder, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """An environment in which the folder's own package comes before the one that is installed."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(self.folder)}

    def would_run(self, *options: str, **given: Any) -> dict[str, int]:
        """The jobs per rule of a dry run, by the arguments of `run`; none if there is nothing to do."""
        outcome = self.run("--dry-run", *options, **given)
        lines = (outcome.stdout + outcome.stderr).splitlines()
        pairs = [line.split() for line in lines]
        jobs = {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}
        return {rule: count for rule, count in jobs.items() if rule.isidentifier() and rule not in ("all", "total")}
