"""Tasks by name: the one place that imports a module which only the config names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.tasks.base import Task
from daisy.tasks.registry import TASKS


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
