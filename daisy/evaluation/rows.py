"""The result tables of a run: a dataclass per table, for `daisy.common.columns` to read and write."""

from __future__ import annotations

import dataclasses
import functools

from daisy.exits.cell import GridCell
from daisy.exits.method import Method


@dataclasses.dataclass(frozen=True)
class CellRow:
    """A row about a cell of one task.

    Attributes:
        task: The task's name.
        method: ``daisy``, ``full``, ``layerN``, ``task-ee``, ``oracle``, or ``input``: the recordings as they are, with
            0 for all that a model would cost.
        rho: The threshold's scale; None for a baseline.
        strategy: How candidate layers were chosen; None for a baseline and an oracle.
    """

    task: str
    method: str
    rho: float | None
    strategy: str | None

    @functools.cached_property
    def cell(self) -> GridCell:
        """What the row is about.

        Raises:
            DaisyError: if there is no such method.
        """
        return GridCell(Method.parse(self.method, self.rho), self.strategy)


@dataclasses.dataclass(frozen=True)
class DevRow(CellRow):
    """One metric of one cell on the dev set, by which a cell is picked: ``dev.csv``.

    Attributes:
        metric: The metric's name.
        value: The metric on the set.
        ci_low: Lower end of its 95% confidence interval.
        ci_high: Upper end.
        higher_is_better: The metric's direction.
        n_utterances: Size of the set.
        mean_exit_layer: Mean over the set.
        macs_per_second: Multiply-accumulate operations per second of audio.
    """

    metric: str
    value: float
    ci_low: float
    ci_high: float
    higher_is_better: bool
    n_utterances: int
    mean_exit_layer: float
    macs_per_second: float

    @property
    def worse_end(self) -> float:
        """The end of the interval at which the result would be worse."""
        return self.ci_low if self.higher_is_better else self.ci_high

    def reaches(self, value: float) -> bool:
        """Whether this row's value is `value` or better."""
        return self.value >= value if self.higher_is_better else self.value <= value


@dataclasses.dataclass(frozen=True)
class GridRow(DevRow):
    """The same on the test set, with time: ``grid.csv``.

    Attributes:
        rtf: Processing time over audio time.
        speedup_vs_full: The full model's time over this cell's, measured side by side.
    """

    rtf: float
    speedup_vs_full: float


@dataclasses.dataclass(frozen=True)
class SeedRow(CellRow):
    """One metric of one cell as trained with one seed: ``seeds.csv``; ``grid.csv`` holds the means."""

    metric: str
    seed: int
    value: float
    speedup_vs_full: float


@dataclasses.dataclass(frozen=True)
class EntropyRow:
    """E_bar_k of a task's training set, in nats: ``entropy.csv``."""

    task: str
    layer: int
    mean_entropy: float


@dataclasses.dataclass(frozen=True)
class ExitRow(CellRow):
    """How many test utterances stopped at a layer: ``exits.csv``."""

    layer: int
    count: int


@dataclasses.dataclass(frozen=True)
class ThresholdRow:
    """A threshold, what is compared with it, and the rule that gave it: ``thresholds.csv``. Entropies are in nats."""

    task: str
    method: str
    rho: float
    tau: float
    rule: str
    signal: str

    @property
    def cell(self) -> GridCell:
        """The method that stops by it, without a choice of candidates."""
        return GridCell(Method.parse(self.method, self.rho))


@dataclasses.dataclass(frozen=True)
class CandidateRow(CellRow):
    """Candidate layers, separated by spaces; whether ``threshold`` fell back: ``candidates.csv``."""

    candidates: str
    fallback: bool


@dataclasses.dataclass(frozen=True)
class BudgetRow:
    """What a test set spends at the threshold for a budget: ``budget.csv``.

    Attributes:
        task: The task's name.
        calibrated_on: By which set the threshold was found: ``train``, as the bundle has it, or ``dev``.
        asked: The share of the full model's arithmetic that was asked for.
        tau: The threshold; every layer from the floor on is a candidate.
        spent: The share that the test set spends.
        ci_low: Lower end of its 95% interval, by bootstrap over recordings.
        ci_high: Upper end.
        mean_exit_layer: Mean over the set.
        n_utterances: Size of the set.
    """

    task: str
    calibrated_on: str
    asked: float
    tau: float
    spent: float
    ci_low: float
    ci_high: float
    mean_exit_layer: float
    n_utterances: int
