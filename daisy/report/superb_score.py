"""The MiniSUPERB score of a run: its four tasks' metrics on one scale, 0 for FBANK and 1000 for the best model known.

It is the score of the SUPERB challenge (arXiv 2210.08634), from memory of that paper: per metric
1000 (s - s_fbank) / (s_best - s_fbank), the mean over a task's metrics, and then over the tasks. That MiniSUPERB's
(arXiv 2305.19011) is the same over its four tasks, with PESQ and STOI as the two metrics of SE, is inferred. What FBANK
and the best model score with MiniSUPERB's data and heads was not at hand, so that these anchors are for a file to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from daisy.errors import DaisyError
from daisy.evaluation.rows import GridRow
from daisy.exits.cell import GridCell

METRICS = {"asr": ("wer",), "sid": ("accuracy",), "se": ("pesq", "stoi"), "ss": ("si_sdri",)}
"""The metrics of every task that counts."""

PUBLISHED = {"wav2vec 2.0 Base": 584, "HuBERT Base": 597, "HuBERT Large": 740, "WavLM Base": 741}
"""MiniSUPERB's scores of whole models; quoted, and not looked up in the paper."""

Anchors = Mapping[tuple[str, str], tuple[float, float]]
"""By task and metric, what FBANK scores and what the best model does, in this project's units."""

FORM = "Write `asr: {wer: {fbank: NUMBER, best: NUMBER}}`, and so sid, se and ss"


def read_anchors(path: Path) -> Anchors:
    """The anchors of a YAML file.

    Raises:
        DaisyError: if it is missing or damaged, or lacks a number, or two that must differ are equal.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DaisyError(f"the anchors cannot be read ({' '.join(str(error).split())})", file=path, fix=FORM) from None
    found = {}
    for task, metrics in METRICS.items():
        for metric in metrics:
            fbank, best = (_number(content, (task, metric, end), path) for end in ("fbank", "best"))
            if fbank == best:
                raise DaisyError(f"{task}.{metric}: fbank and best are the same", file=path, fix="Correct one of them")
            found[task, metric] = (fbank, best)
    return found


def _number(content: Any, keys: Sequence[str], path: Path) -> float:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(content, int | float):
        raise DaisyError(f"{'.'.join(keys)} is {content!r}, not a number", file=path, fix=FORM)
    return float(content)


def score(results: Mapping[tuple[str, str], float], anchors: Anchors) -> float:
    """The score of one model, or one way of running it, from its metrics by task and name."""
    means = []
    for task, metrics in METRICS.items():
        ends = [(results[task, metric], *anchors[task, metric]) for metric in metrics]
        # Where less is better, best lies below FBANK, and the sign is the same.
        means.append(sum(1000 * (value - low) / (high - low) for value, low, high in ends) / len(ends))
    return sum(means) / len(means)


def scores(grid: Sequence[GridRow], anchors: Anchors) -> Iterator[tuple[GridCell, float]]:
    """The score of every cell of a grid that has all four tasks, in the grid's order.

    Raises:
        DaisyError: if the run lacks a task.
    """
    if missing := sorted(set(METRICS) - {row.task for row in grid}):
        fix = "The score is of all four tasks: run them"
        raise DaisyError(f"the run has no {' and no '.join(missing)}", fix=fix)
    for cell in dict.fromkeys(row.cell for row in grid):
        results = {(row.task, row.metric): row.value for row in grid if row.cell == cell}
        if set(anchors) <= set(results):
            yield cell, score(results, anchors)
