"""The report's part about budgets: what was asked, and what the test sets spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daisy.evaluation.rows import BudgetRow
from daisy.report import html
from daisy.report.wording import task_title

BUDGET_FIGURES = {
    "budget": (
        "Asked against spent",
        "A threshold for a share of the full model's arithmetic, found by what thresholds spend on the training set "
        "(as the model file has it; with 95% intervals) or the dev set (dotted), and what the test set spends at it.",
    ),
}


def budget_section(rows: Sequence[BudgetRow]) -> dict[str, Any]:
    """A line per task and budget, and in words how far off the test sets are."""
    by_train = [row for row in rows if row.calibrated_on == "train"]
    by_dev = {(row.task, row.asked): row for row in rows if row.calibrated_on == "dev"}
    lines = []
    for row in by_train:
        other = by_dev.get((row.task, row.asked))
        spent = f"{row.spent:.1%} [{row.ci_low:.1%}, {row.ci_high:.1%}]"
        by_other = f"{other.spent:.1%}" if other else "–"
        cells = (f"{row.asked:.0%}", f"{row.tau:.3f}", spent, f"{row.mean_exit_layer:.2f}", by_other)
        lines.append([task_title(row.task), *map(html.number, cells)])
    off = [abs(row.spent - row.asked) for row in by_train]
    text = (
        "The share of the full model's arithmetic, without the downstream model, that a threshold was asked to spend, "
        f"and what the test set spends: {100 * sum(off) / len(off):.1f} points off on average, {100 * max(off):.1f} at "
        "most, where the threshold follows from the training set. What a set spends depends on its recordings; a "
        "stream that must keep to its budget is steered as it goes (docs/budget.md)."
    )
    header = ("Task", "Asked", "τ", "Spent [95% interval]", "Mean exit", "Spent, τ by dev set")
    return html.section("Asked against spent", text, [html.table(header, lines, "Every budget", folded=True)])
