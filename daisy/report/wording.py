"""How tasks, metrics, methods and scales are written in figures and reports."""

from __future__ import annotations

from daisy.evaluation.rows import GridRow
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


SHORT = {
    "wer": "WER %",
    "per": "PER %",
    "accuracy": "Acc. %",
    "pesq": "PESQ",
    "stoi": "STOI %",
    "si_sdri": "SI-SDRi dB",
}
"""Metrics as the headings of tables have them."""


def short_label(task: str, metric: str) -> str:
    """The metric's name and unit for the heading of a table."""
    return SHORT.get(metric) or metric_label(task, metric)


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


def value_text(row: GridRow, *, interval: bool = False) -> str:
    """A result with the decimals that its interval allows, and with the interval itself if asked."""
    places = decimals(row.ci_high - row.ci_low)
    return f"{row.value:.{places}f} {interval_text(row)}" if interval else f"{row.value:.{places}f}"


def interval_text(row: GridRow) -> str:
    """The 95% interval of a result."""
    places = decimals(row.ci_high - row.ci_low)
    return f"[{row.ci_low:.{places}f}, {row.ci_high:.{places}f}]"


def speed_text(row: GridRow) -> str:
    """How many times as fast as the full model."""
    return f"{row.speedup_vs_full:.2f}×"


SIGNALS = {
    "entropy": "entropy (the paper)",
    "least-sure": "entropy, less sure half of the frames",
    "top": "largest probability",
    "margin": "margin of the two largest",
    "agreement": "agreement with the layer before",
    "divergence": "divergence from the layer before",
    "random": "entropy's exits, dealt out at random",
    "fixed": "the same layer for all",
    "oracle": "oracle (bound)",
}


def mean_signal(name: str) -> str:
    """What is drawn of every layer's branch, with its unit."""
    return "Mean entropy of the layer's branch (nats)" if name == "entropy" else f"Mean: {signal_label(name)}"


def signal_label(name: str) -> str:
    """A signal, or what signals are held against, in words; the name itself if it has none."""
    return SIGNALS.get(name, name)
