"""Which tasks there are. Free of torch, so that the Snakefile can read it while parsing."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daisy.errors import DaisyError

if TYPE_CHECKING:
    from daisy.tasks.base import Task


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered task.

    Attributes:
        module: Where it is written; the module has its class under the name `TASK`.
        pooled: Whether its head takes each state's mean over time as a single frame.
        waves: Whether its predictions are signals, made from the recording itself.
    """

    module: str
    pooled: bool = False
    waves: bool = False


TASKS = {
    "sid": Entry("daisy.tasks.sid", pooled=True),
    "asr": Entry("daisy.tasks.asr"),
    "se": Entry("daisy.tasks.se", waves=True),
    "ss": Entry("daisy.tasks.ss", waves=True),
}


def task_class(name: str) -> type[Task]:
    """The class of the task `name`.

    Raises:
        DaisyError: if there is no such task.
    """
    if name not in TASKS:
        raise DaisyError(f"the task {name!r} is unknown", fix=f"Use {', '.join(TASKS)}")
    return importlib.import_module(TASKS[name].module).TASK


def restore(metadata: Mapping[str, Any]) -> Task:
    """Rebuild a task from what `Task.metadata` gave."""
    return task_class(metadata["name"])(metadata["options"], metadata["vocabulary"])
