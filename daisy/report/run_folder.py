"""What a run's folder tells so far: each part, or nothing where the stage that makes it has not ended."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import yaml

from daisy.common.columns import read_table
from daisy.common.files import read_csv
from daisy.errors import DaisyError
from daisy.evaluation.rows import EntropyRow, GridRow, ThresholdRow
from daisy.exits.signals import ENTROPY
from daisy.noise.rows import NoiseExitRow, NoiseWerRow
from daisy.report.evaluations import calibration_rows, mean_rows, trained_rows


class RunFolder:
    """The outputs of a run, finished or not; the store behind its links must be there.

    Args:
        path: The folder below `results`.

    Raises:
        DaisyError: if it is not the folder of a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = path / "config.yaml"
        if not file.is_file():
            fix = "Name the folder of a run, such as results/mini; `snakemake resolved_config` writes that file first"
            raise DaisyError("no run is here: it has no config.yaml", file=path, fix=fix)
        self.config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        # Any folder may hold a file of that name: what a run writes with it, or at its end, tells them apart.
        written = any((path / name).is_file() for name in ("logs/resolved_config.log", "store.csv"))
        if not written or not isinstance(self.config, dict):
            fix = "Name the folder of a run, such as results/mini, with the logs or the store.csv that it wrote"
            raise DaisyError("no run is here: no run wrote its config.yaml", file=path, fix=fix)

        links = [item for item in path.iterdir() if item.is_symlink()]
        # One that leads nowhere is of a stage to come; if all do, and into a folder that is none, the store is away.
        if links and not any((path / item.readlink()).parent.is_dir() for item in links):
            fix = "Look at the run where it was made, or copy what its links lead to, too (`cp -rL`, `rsync -rL`)"
            raise DaisyError("its links lead to a store that is not there", file=path, fix=fix)

    def _there(self, pattern: str) -> list[Path]:
        """The files of a pattern; a link is made before what it points to."""
        return sorted(path for path in self.path.glob(pattern) if path.is_file())

    @property
    def tasks(self) -> list[str]:
        """The tasks of the run."""
        return list(self.config["tasks"])

    @property
    def share(self) -> float:
        """Of every task's recordings, the share that is used."""
        return float(self.config["data"]["splits"].get("share", 1.0))

    def corpus(self, use: str) -> str:
        """The corpus that the config names for a use; empty for an embedded one."""
        return str(self.config["data"]["corpora"].get(use, ""))

    @functools.cached_property
    def of_the_paper(self) -> bool:
        """Whether mean entropies are those of HuBERT Base on the paper's tasks, as the config says."""
        return self.by_entropy and bool(self.config["report"]["against_published"])

    @property
    def by_entropy(self) -> bool:
        """Whether what is measured of a branch is its entropy, and not another signal."""
        thresholds = self.config.get("thresholds", {})  # a run of an earlier release has no signal
        return bool(thresholds.get("signal", ENTROPY) == ENTROPY)

    def dropped(self, use: str) -> float | None:
        """Of a corpus's recordings, the share that was left out because something was wrong with them."""
        folder = self.path / "corpora" / use
        if not (folder / "recordings.csv").is_file() or not (folder / "dropped.csv").is_file():
            return None
        used, lost = len(read_csv(folder / "recordings.csv")), len(read_csv(folder / "dropped.csv"))
        return lost / (used + lost)

    def summary(self, task: str) -> dict[str, dict[str, str]] | None:
        """By split: recordings, speakers and minutes of a task."""
        path = self.path / "manifests" / task / "summary.csv"
        return {row["split"]: row for row in read_csv(path)} if path.is_file() else None

    @functools.cached_property
    def class_counts(self) -> list[int] | None:
        """Frames of every class that the branches learn; the last column of ``dict.km.txt``."""
        path = self.path / "targets/dict.km.txt"
        if not path.is_file():
            return None
        return [int(line.split()[-1]) for line in path.read_text(encoding="utf-8").splitlines()]

    @functools.cached_property
    def branch_history(self) -> list[dict[str, float]] | None:
        """Loss and accuracies of every step of the branches."""
        path = self.path / "branches/history.csv"
        if not path.is_file():
            return None
        return [{name: float(value) for name, value in row.items()} for row in read_csv(path)]

    def trainings(self, task: str) -> dict[str, tuple[list[dict[str, str]], list[int]]]:
        """By seed and method, of the downstream models that are trained: their history and training exit histogram."""
        found = {}
        for path in self._there(f"downstream/{task}/*/*/exits.json"):
            counts = json.loads(path.read_text(encoding="utf-8")).get("counts", [])
            history = path.with_name("history.csv")
            found[f"{path.parts[-3]}/{path.parts[-2]}"] = (read_csv(history) if history.is_file() else [], counts)
        return found

    @functools.cached_property
    def _calibrated(self) -> tuple[list[EntropyRow], list[ThresholdRow]]:
        return calibration_rows(self._there("calibration/*/rho*.json"))

    def mean_entropy(self, task: str) -> list[float] | None:
        """E_bar_k of a task's training set, from layer 1, in nats."""
        return [row.mean_entropy for row in self._calibrated[0] if row.task == task] or None

    def thresholds(self, task: str) -> list[ThresholdRow]:
        """DAISY's thresholds of a task."""
        return [row for row in self._calibrated[1] if row.task == task]

    @functools.cached_property
    def grid(self) -> list[GridRow]:
        """The rows of the evaluations that are there, means over their seeds."""
        return mean_rows(trained_rows(self._there("evaluation/*/*/*.json"), "rows", GridRow))

    def noisy_exits(self, task: str) -> list[NoiseExitRow]:
        """Where recordings stop under noise."""
        files = self._there(f"noise/{task}/daisy-*/exits.csv")
        return [row for path in files for row in read_table(NoiseExitRow, path)]

    def noisy_errors(self, task: str) -> list[NoiseWerRow]:
        """The full model's word error rate under noise."""
        path = self.path / f"noise/{task}/full/wer.csv"
        return read_table(NoiseWerRow, path) if path.is_file() else []
