"""What cells make of a test set: exits, scores and intervals from shared features, held against real runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from daisy.corpora.utterances import Manifest
from daisy.downstream.cells import Cell
from daisy.downstream.scoring import Judged, judge, scores
from daisy.downstream.split import Split
from daisy.downstream.system import predict
from daisy.errors import DaisyError
from daisy.evaluation.bootstrap import interval
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.cell import GridCell
from daisy.exits.rule import ExitRule
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.tasks.base import Score, Task, set_metric


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A cell run over the whole test set from shared features.

    Attributes:
        cell: The cell.
        split: The test set, with its exits.
        scores: Of every utterance.
        values: Every metric, with the ends of its confidence interval.
        known: Whether exits are known beforehand, as an oracle knows them, so that nobody is asked.
    """

    cell: Cell
    split: Split
    scores: list[Score]
    values: dict[str, tuple[float, float, float]]
    known: bool = False

    def at(self, index: int) -> Cell:
        """The cell as it runs on one recording."""
        if not self.known:
            return self.cell
        return dataclasses.replace(self.cell, rule=ExitRule((int(self.split.exits[index]),)))


def outcome_at(
    cell: Cell,
    split: Split,
    exits: np.ndarray,
    judged: Judged,
    settings: EvaluationSettings,
    *,
    known: bool = False,
) -> Outcome:
    """The outcome of a cell at some exits, whose scores are known or else computed."""
    chosen = dataclasses.replace(split, exits=exits)
    scored = scores(cell.model, chosen, judged=judged)
    return Outcome(cell, chosen, scored, with_intervals(cell.model.task, scored, settings), known)


def run_cells(
    cells: Mapping[GridCell, Cell],
    split: Split,
    entropies: np.ndarray,
    settings: EvaluationSettings,
    judged: Judged,
    processes: int = 1,
) -> dict[GridCell, Outcome]:
    """Predict and score the test set with the exits of each cell of one model, all of them at once.

    Args:
        cells: Of one model.
        split: The test set.
        entropies: (N, K) in nats, by which the cells stop; of a fixed exit, K may be 0.
        settings: Config of the stage.
        judged: What the model already scored; it is added to.
        processes: How many share the work.
    """
    exits = {key: cell.rule.layers(entropies) for key, cell in cells.items()}
    pairs = [pair for layers in exits.values() for pair in enumerate(layers.tolist())]
    judge(next(iter(cells.values())).model, split, pairs, judged, processes)
    return {key: outcome_at(cell, split, exits[key], judged, settings) for key, cell in cells.items()}


def with_intervals(
    task: Task, scored: Sequence[Score], settings: EvaluationSettings
) -> dict[str, tuple[float, float, float]]:
    """Every metric of a set of utterances, with the ends of its confidence interval."""
    values = {}
    for metric in task.metrics:
        low, high = interval(scored, metric, draws=settings.draws, seed=settings.seed)
        values[metric.name] = (set_metric(scored, metric), low, high)
    return values


def check_equal(upstream: EarlyExitHubert, outcome: Outcome, manifest: Manifest, indices: Sequence[int]) -> None:
    """Make sure that real runs stop and score as the shared features said.

    One recording in fifty may differ (at least one): an entropy within rounding of the threshold can
    fall on either side of it.

    Raises:
        DaisyError: if more recordings differ.
    """
    different = []
    task = outcome.cell.model.task
    for index in indices:
        prediction, layer = predict(upstream, outcome.at(index), manifest.wave(index))
        real, shared = task.score(prediction, outcome.split.examples[index]), outcome.scores[index]
        same = all(math.isclose(real[name][0], shared[name][0], rel_tol=1e-3, abs_tol=1e-3) for name in real)
        if layer != int(outcome.split.exits[index]) or not same:
            different.append(manifest.utterances[index].id)
    if len(different) > max(1, len(indices) // 50):
        raise DaisyError(
            f"{len(different)} of {len(indices)} recordings stop elsewhere or score otherwise in a run of the model "
            f"than by the shared features, {different[0]} for one",
            fix="Make the features again with this model and version; if it persists, report it as a fault",
        )
