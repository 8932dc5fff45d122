"""The report's tables about exits: thresholds with their candidate layers, and where training utterances stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daisy.common.files import read_json
from daisy.errors import DaisyError
from daisy.evaluation.rows import CandidateRow, ThresholdRow
from daisy.exits.candidates import mean_exit
from daisy.exits.cell import GridCell
from daisy.exits.method import Method
from daisy.report import html
from daisy.report.against_published import AgainstPublishedRow
from daisy.report.sections import exit_label
from daisy.report.wording import task_title


def threshold_section(thresholds: Sequence[ThresholdRow], candidates: Sequence[CandidateRow]) -> dict[str, Any]:
    """Thresholds per task and scale, and the candidate layers of every strategy."""
    strategies = list(dict.fromkeys(row.strategy for row in candidates))
    row_of = {(row.task, row.cell): row for row in candidates}
    rows = []
    for item in thresholds:
        method = item.cell.method
        cells = [row_of.get((item.task, GridCell(method, strategy))) for strategy in strategies]
        layers = [_layers(cell) if cell else "–" for cell in cells]
        rows.append([task_title(item.task), method.in_words, html.number(f"{item.tau:.4f}"), item.rule, *layers])
    header = ("Task", "Method", "τ (nats)", "Rule", *map(str, strategies))
    fallen = sum(row.fallback for row in candidates)
    text = (
        "An utterance stops at the first candidate layer whose entropy is at most τ, or at the last candidate; the "
        "last columns hold the candidates of every strategy."
    )
    if fallen:
        cells_have = "cell has" if fallen == 1 else "cells have"
        text += (
            f" {fallen} {cells_have} a fallback: no layer's share of training exits was large enough, "
            "so the most frequent layer stands in."
        )
    return html.section(
        "Thresholds and candidate layers",
        text,
        [html.table(header, rows, "Every threshold", folded=True)] if rows else [],
    )


def _layers(row: CandidateRow) -> str:
    """Candidates in print: runs of three layers and more as a range."""
    layers = [int(item) for item in row.candidates.split()]
    if len(layers) > 2 and layers == list(range(layers[0], layers[-1] + 1)):
        text = f"{layers[0]} to {layers[-1]}"
    else:
        text = ", ".join(map(str, layers))
    return f"{text} (fallback)" if row.fallback else text


def published_section(rows: Sequence[AgainstPublishedRow]) -> dict[str, Any]:
    """The rows as a part of the report."""
    lines = [
        [
            task_title(row.task),
            html.number(f"{row.max_plus_min:.2f}"),
            html.number(f"{row.published:.2f}"),
            html.number(f"{row.difference:+.2f}"),
        ]
        for row in rows
    ]
    return html.section(
        "Entropies against the published thresholds",
        "The largest and the smallest mean entropy of a layer, added, in nats. What the authors had is inferred from "
        "the thresholds that they shipped: nobody has confirmed it, and these four numbers are all that is known of "
        "their Fig. 2. A large difference says that targets, branches or data are not theirs.",
        [html.table(("Task", "This run", "Published (inferred)", "Difference"), lines)],
    )


def _read_histograms(path: Path) -> list[tuple[str, Method, list[int], float | None]]:
    """Task, method, exits and threshold: of one model, or of a task's own exits at every scale."""
    value = read_json(path)
    try:
        if "scales" not in value:
            return [(value["task"], Method.parse(value["method"]), _counts(value), value.get("tau"))]
        scales = [(Method("task-ee", float(item["rho"])), item) for item in value["scales"]]
        return [(value["task"], scaled, _counts(item), float(item["tau"])) for scaled, item in scales]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DaisyError("no training exit histogram", file=path, fix="Delete the file and run again") from None


def _counts(value: dict[str, Any]) -> list[int]:
    counts = value["counts"]
    if not all(type(count) is int and count >= 0 for count in counts) or not sum(counts):
        raise ValueError(counts)
    return list(counts)


def histogram_section(paths: Sequence[Path]) -> dict[str, Any]:
    """Where training utterances stopped by entropies; baselines stop at one layer and are left out."""
    read = [item for path in paths for item in _read_histograms(path)]
    chosen = sorted((item for item in read if item[3] is not None), key=lambda item: (item[0], GridCell(item[1]).key))
    rows = []
    for task, method, counts, _ in chosen:
        shown = html.bars(counts, exit_label(counts))
        rows.append([task_title(task), method.in_words, html.number(f"{mean_exit(counts):.2f}"), sum(counts), shown])
    text = "In training every layer is a candidate. The candidate layers of inference follow from these exits."
    header = ("Task", "Model", "Mean exit", "Utterances", "Exits")
    tables = [html.table(header, rows, "Every model, its exits from the first layer on", folded=True)] if rows else []
    return html.section("Training exit histograms", text, tables)
