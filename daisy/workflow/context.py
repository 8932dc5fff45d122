"""What every part of the workflow builds on: one run's config, its folders, its store and its frozen model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.common.compute import Compute
from daisy.errors import DaisyError
from daisy.exits.method import DAISY, TASK_EXITS, Method
from daisy.hubert.shape import Shape, shape_of
from daisy.tasks.registry import TASKS
from daisy.workflow.config import check_layers, formed
from daisy.workflow.sections import Config
from daisy.workflow.store import Store, code_of

Cell = tuple[str, Method, int]
"""Task, method and seed of a downstream model."""

OLDER = ("branches", "calibration/*/*", "downstream/*/*/*/*", "evaluation/*/*/*", "noise/*/*/*")
"""What is in a run's folder by links, and was there itself in older versions."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What decides the result of a stage beside the files that it reads.

    Attributes:
        settings: Its settings, as JSON.
        code: A digest for every module that it runs.
    """

    settings: str
    code: dict[str, str]


def job(module: str, settings: Any, tasks: Sequence[str] = ()) -> Job:
    """A stage of a run's own folder.

    Args:
        module: The stage.
        settings: A dataclass of its settings.
        tasks: The tasks whose modules it loads by name.

    Raises:
        DaisyError: if a module imports what no digest can tell.
    """
    return Job(stage.text(settings), code_of((module,), tuple(tasks)))


class Context:
    """One run.

    Args:
        values: The merged config.
        project: The folder of the Snakefile.

    Attributes:
        values: The config as it is written into the run's folder; `check_parts` is for the run to ask.
        config: The same, typed.
        project: The folder of the Snakefile.
        home: The run's folder.
        store: The stages that runs share.
        checkpoint: The frozen model's file.
        compute: Where models are trained.
        exact: Where the tables' exits come from, in float32: rounding, TF32's too, moves an entropy across a threshold
            now and then.
        methods: By the name that wildcards have.

    Raises:
        DaisyError: if the config's form is wrong.
    """

    def __init__(self, values: Mapping[str, Any], project: Path) -> None:
        self.values = formed(values)
        self.config: Config = stage.build(Config, self.values, "config")
        self.project = project
        self.home = f"{self.config.results}/{self.config.run}"
        self.store = Store(f"{self.config.cache}/store")
        self.compute = self.config.compute.effective()
        self.exact: Compute = dataclasses.replace(self.compute, precision="float32")
        self.checkpoint = self.resource(self.config.upstream.checkpoint)
        named = [Method.parse(name) for name in self.config.downstream.methods]
        scaled = [Method("daisy", rho) for rho in self.config.thresholds.rho] if DAISY in named else []
        self.methods = {method.name: method for method in scaled + [item for item in named if item != DAISY]}

    @functools.cached_property
    def shape(self) -> Shape:
        """The frozen model's depth and width, and the hop of its frames.

        Raises:
            DaisyError: if the checkpoint is missing, cannot be loaded or lacks the head that the targets need.
        """
        if not Path(self.checkpoint).exists():
            raise DaisyError(f"upstream.checkpoint: {self.checkpoint} does not exist", fix="Correct the path")
        return shape_of(Path(self.checkpoint), head=self.config.targets.kind == "head")

    def check_model(self) -> None:
        """See whether the frozen model can be used, and has the layers that the config names.

        Raises:
            DaisyError: if not.
        """
        check_layers(self.values, self.shape.layers)

    def check_folder(self) -> None:
        """See whether the run's folder is one of this version.

        Raises:
            DaisyError: if not.
        """
        if older := self._older():
            raise DaisyError(
                f"{self.home} was made by an older version: {older} is no link to the store",
                fix="Move the folder away, or give the run another name",
            )

    def _older(self) -> Path | None:
        """A file in the run's folder, or in a variant's, where there should be a link, or a folder that is one."""
        home = Path(self.home)
        found = (path for top in (home, *home.glob("ablation/*")) for name in OLDER for path in top.glob(name))
        return next((path for path in found if not path.is_symlink() and not path.parent.is_symlink()), None)

    @property
    def tasks(self) -> list[str]:
        """The run's tasks."""
        return list(self.config.tasks)

    @property
    def daisy(self) -> list[Method]:
        """DAISY at every scale; none if the config leaves it out."""
        return [method for method in self.methods.values() if method.by_entropy]

    def methods_of(self, task: str) -> list[Method]:
        """The methods of a task: exits of its own are for tasks that can have them."""
        able = TASKS[task].exits is not None
        return [method for method in self.methods.values() if able or method != TASK_EXITS]

    @property
    def cells(self) -> list[Cell]:
        """Every downstream model of the run."""
        return [
            (task, method, seed)
            for task in self.tasks
            for method in self.methods_of(task)
            for seed in self.config.seeds
        ]

    @property
    def first_seed(self) -> int:
        """The seed whose models stand for all where one is enough."""
        return self.config.seeds[0]

    def resource(self, path: str) -> str:
        """A path of the config: as it stands, or else in the project's own folder."""
        own = self.project / path
        return str(own) if own.exists() and not Path(path).exists() else path

    def results(self, path: str) -> str:
        """A path in the run's folder."""
        return f"{self.home}/{path}"

    def cached(self, path: str) -> str:
        """A path in the cache, which all runs share."""
        return f"{self.config.cache}/{path}"
