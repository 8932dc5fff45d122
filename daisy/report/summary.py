"""The report's first screen: what was run, the headline numbers, and how many claims hold; then the claims by group."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from daisy.evaluation.rows import DevRow, GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL
from daisy.report import html
from daisy.report.choice import choose
from daisy.report.claim import NO, OPEN, YES, ClaimRow
from daisy.report.grid import daisy_of, fixed_exits, metrics_of, row_of, rows_of, tasks_of
from daisy.report.ground import clock
from daisy.report.wording import (
    cell_label,
    interval_text,
    short_label,
    signal_label,
    speed_text,
    task_title,
    value_text,
)

UNSURE = "?"
"""Beside a speed whose measurement contradicts itself."""


def counted(judged: Sequence[ClaimRow]) -> list[dict[str, Any]]:
    """The verdicts with their numbers, as a bar and its legend."""
    counts = collections.Counter(row.holds for row in judged)
    words = {YES: "hold", NO: "do not", OPEN: "cannot be told here"}
    return [{"holds": holds, "count": counts[holds], "words": words[holds]} for holds in words if counts[holds]]


def grouped(judged: Sequence[ClaimRow]) -> list[dict[str, Any]]:
    """The claims by what they say, each group with how many of it hold."""
    groups: dict[str, list[ClaimRow]] = {}
    for row in judged:
        groups.setdefault(row.group, []).append(row)
    return [
        {
            "title": title,
            "tally": f"{sum(row.holds == YES for row in rows)} of {len(rows)} hold",
            "claims": [{"row": row, "task": task_title(row.task) if row.task else "All tasks"} for row in rows],
        }
        for title, rows in groups.items()
    ]


def _result(row: GridRow | None) -> dict[str, Any]:
    return html.number(value_text(row), note=interval_text(row)) if row else html.number("–")


def headline(grid: Sequence[GridRow], dev: Sequence[DevRow]) -> dict[str, Any]:
    """Per task the full model, a fixed exit (the paper's first), and the DAISY cell that the dev set chooses."""
    fixed = next(iter(sorted(fixed_exits(grid), key=lambda method: method.layer != 6)), None)
    lines = []
    for task in tasks_of(grid):
        rows = rows_of(grid, task)
        chosen = row_of(daisy_of(rows), choose(rows_of(dev, task)))
        doubt = f" {UNSURE}" if clock(rows) else ""
        cell = html.number(speed_text(chosen) + doubt, note=cell_label(chosen.cell)) if chosen else html.number("–")
        results = [row_of(rows, GridCell(FULL)), *([row_of(rows, GridCell(fixed))] if fixed else []), chosen]
        lines.append(
            [f"{task_title(task)}, {short_label(task, metrics_of(grid, task)[0])}", *map(_result, results), cell]
        )
    header = ["Task", "Full model", *([fixed.in_words.capitalize()] if fixed else []), "DAISY", "Speed-up"]
    return html.table(header, lines)


def headline_note(grid: Sequence[GridRow]) -> str:
    """How the headline numbers are to be read."""
    text = (
        "With 95% intervals over test utterances. DAISY: the cheapest cell that is in the full model's interval on the "
        "dev set, or better there; –: no cheaper cell is."
    )
    if any(clock(rows_of(grid, task)) for task in tasks_of(grid)):
        text += f" {UNSURE}: the timing contradicts itself."
    return text


def what_was_run(grid: Sequence[GridRow], layers: int, checkpoint: str, signal: str = "entropy") -> str:
    """Model, tasks and sizes, in one sentence."""
    tasks = ", ".join(
        f"{task_title(task).lower()} ({rows_of(grid, task)[0].n_utterances:,} recordings)" for task in tasks_of(grid)
    )
    what = "the entropy" if signal == "entropy" else f"a signal ({signal_label(signal)})"
    depth = f", {layers} layers, frozen" if layers else ", frozen"
    return (
        f"Early exit for HuBERT ({checkpoint}{depth}), decided per recording by {what} of exit branches. "
        f"Tested on {tasks}."
    )
