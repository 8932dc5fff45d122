"""The oracle: who knows the answer, and lets every utterance leave as soon as that costs nothing.

Its exit is the earliest layer at which a model's prediction is at least as good as the full model's. So it bounds
every rule that wants to be as good as the full model on each utterance: none of them can exit earlier. Where no layer
is as good, since a model that reads several layers is another one than the full model, it is the best one's earliest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daisy.common.files import read_json
from daisy.downstream.cells import Cell
from daisy.downstream.scoring import Judged, judge
from daisy.downstream.split import Split
from daisy.errors import DaisyError
from daisy.evaluation.outcomes import Outcome, outcome_at
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.rule import ExitRule
from daisy.tasks.base import Metric, Score, Task

KEY = "utterances"
"""Where the evaluation of the full model keeps its scores, by metric."""


def kept_scores(task: Task, scored: Sequence[Score]) -> dict[str, Any]:
    """The scores of every utterance, as the evaluation of the full model writes them."""
    return {KEY: {metric.name: [list(score[metric.name]) for score in scored] for metric in task.metrics}}


def read_scores(path: Path, metric: Metric, count: int) -> list[tuple[float, float]]:
    """The full model's numerator and denominator of every test utterance.

    Raises:
        DaisyError: if the file holds none, or those of another test set.
    """
    value = read_json(path)
    try:
        scored = [(float(numerator), float(denominator)) for numerator, denominator in value[KEY][metric.name]]
    except (KeyError, TypeError, ValueError) as error:
        raise DaisyError(f"no {metric.name} per utterance ({error!r})", file=path, fix="Evaluate full again") from None
    if len(scored) != count:
        raise DaisyError(f"scores of {len(scored)} utterances for {count}", file=path, fix="Evaluate full again")
    return scored


def earliest(scored: Sequence[tuple[float, float]], full: tuple[float, float], metric: Metric) -> int:
    """The first layer, from 1, whose score is at least as good as the full model's; the best one if none is.

    Args:
        scored: Of layers 1 to K.
        full: The full model's. Where it has none, nothing shows that an earlier layer than the last would do.
        metric: What is compared.
    """
    sign = 1 if metric.higher_is_better else -1
    if full[1] <= 0:
        return len(scored)
    values = [sign * numerator / denominator if denominator > 0 else -math.inf for numerator, denominator in scored]
    wanted = min(sign * full[0] / full[1], max(values))
    return next(layer for layer, value in enumerate(values, start=1) if value >= wanted)


def oracle(
    cell: Cell,
    split: Split,
    full: Sequence[tuple[float, float]],
    judged: Judged,
    settings: EvaluationSettings,
    processes: int = 1,
) -> Outcome:
    """What a model makes of the test set at the oracle's exits.

    Args:
        cell: The model; its own exits play no part.
        split: The test set.
        full: The full model's scores, by the task's first metric.
        judged: What the model already scored; it is added to.
        settings: Config of the stage.
        processes: How many share the work.
    """
    model, layers = cell.model, cell.model.layers
    metric = model.task.metrics[0]
    judge(model, split, [(i, k) for i in range(len(full)) for k in range(1, layers + 1)], judged, processes)
    exits = [
        earliest([judged[index, k][metric.name] for k in range(1, layers + 1)], score, metric)
        for index, score in enumerate(full)
    ]
    own = Cell(model, ExitRule((layers,)))
    return outcome_at(own, split, np.array(exits), judged, settings, known=True)
