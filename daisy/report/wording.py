"""How tasks, metrics, methods and scales are written in figures and reports."""

from __future__ import annotations

from daisy.exits.cell import GridCell
from daisy.tasks.loading import task_class
from daisy.tasks.registry import TASKS


def task_title(task: str) -> str:
    """The task's title; the name in capitals if the task is not registered."""
    return task_class(task).title if task in TASKS else task.upper()


def metric_label(task: str, metric: str) -> str:
    """The metric's name with its unit; its bare name if the task does not know it."""
    known = task_class(task).metrics if task in TASKS else ()
    return next((item.label for item in known if item.name == metric), metric)


def noise_label(kind: str) -> str:
    """A kind of noise in words."""
    return "White noise" if kind == "white" else kind.capitalize()


def snr_label(snr_db: float | None) -> str:
    """A signal-to-noise ratio; clean speech has none."""
    return "clean" if snr_db is None else f"{snr_db:g} dB"


def cell_label(cell: GridCell) -> str:
    """A cell of the grid in words, for example ``DAISY ρ 0.7, avg``."""
    return ", ".join([cell.method.in_words, *([cell.strategy] if cell.strategy else [])])


def decimals(width: float) -> int:
    """Decimals that show two digits of an interval `width` wide, at most 4; 2 for an interval of no width."""
    if width <= 0:
        return 2
    return next((count for count in range(4) if width * 10**count >= 10), 4)
