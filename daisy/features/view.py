"""How a task sees hidden states. Free of torch, so that the Snakefile can ask while parsing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daisy.features.settings import View
from daisy.hubert.config import States
from daisy.tasks.registry import TASKS


def view_of(task: str, options: Mapping[str, Any], states: States) -> View:
    """How a task sees hidden states; `options` are its own part of the config."""
    return View(states, TASKS[task].pooled, options.get("normalise", "frames"))
