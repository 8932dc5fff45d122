"""Settings of the stages that show what a run found."""

from __future__ import annotations

import dataclasses
from typing import Any

from daisy.exits.method import Method


@dataclasses.dataclass(frozen=True)
class System:
    """One way of running the task.

    Attributes:
        name: How listeners read it.
        method: How every recording gets its exit layer.
        strategy: How candidate layers are chosen; None for a fixed layer.
        q: The strategy's share.
    """

    name: str
    method: Method
    strategy: str | None = None
    q: float = 0.0


@dataclasses.dataclass(frozen=True)
class ExamplesSettings:
    """Config of `daisy.report.examples`.

    Attributes:
        count: Recordings to draw.
        seconds: Longer ones are not drawn.
        seed: Seed of the draw.
        systems: What to run, in the order of ``--downstream`` and ``--exits``.
        signal: What branches are asked for.
    """

    count: int
    seconds: float
    seed: int
    systems: tuple[System, ...]
    signal: str = "entropy"


@dataclasses.dataclass(frozen=True)
class Nothing:
    """Config of `daisy.report.figures`: none."""


@dataclasses.dataclass(frozen=True)
class TablesSettings:
    """Config of `daisy.report.tables`.

    Attributes:
        against_published: Whether mean entropies are compared with the published thresholds.
    """

    against_published: bool = False


@dataclasses.dataclass(frozen=True)
class ClaimsSettings:
    """Config of `daisy.report.judge`.

    Attributes:
        noise_tasks: The tasks of the noise study, if there is one.
        target_layer: The layer whose clusters the branches were trained on; None where targets are no clusters.
    """

    noise_tasks: tuple[str, ...] = ()
    target_layer: int | None = None


@dataclasses.dataclass(frozen=True)
class AtWorkSettings:
    """Config of `daisy.report.at_work`.

    Attributes:
        task: The task whose recordings the noise study took.
        method: DAISY at one scale of the threshold.
        strategy: How candidate layers are chosen.
        q: The strategy's share.
    """

    task: str
    method: Method
    strategy: str
    q: float


@dataclasses.dataclass(frozen=True)
class AblationSettings:
    """Config of `daisy.report.ablation`.

    Attributes:
        variants: The targets of every variant.
        default: The variant that the run itself uses.
        tasks: The tasks that are compared.
    """

    variants: dict[str, dict[str, Any]]
    default: str
    tasks: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SignalsTableSettings:
    """Config of `daisy.report.signals`.

    Attributes:
        tasks: The tasks that are compared.
        rho: The scales at which their models were trained.
        floor: The first layer at which anybody may stop.
        draws: Bootstrap draws.
        seed: Their seed.
        own: The signal by which the run stops.
    """

    tasks: tuple[str, ...]
    rho: tuple[float, ...]
    floor: int
    draws: int
    seed: int
    own: str


@dataclasses.dataclass(frozen=True)
class BudgetSettings:
    """Config of `daisy.report.budget`.

    Attributes:
        tasks: The tasks, in the order of the files.
        floor: The first layer at which anybody may stop.
        draws: Bootstrap draws.
        seed: Their seed.
    """

    tasks: tuple[str, ...]
    floor: int
    draws: int
    seed: int


@dataclasses.dataclass(frozen=True)
class ReportSettings:
    """Config of `daisy.report.page`.

    Attributes:
        run: The run's name.
        noise_tasks: The tasks of the noise study, if there is one.
        against_published: Whether mean entropies are compared with the published thresholds.
        at_work: Whether there is a figure of the method at work.
        budget: Whether budgets are held against what test sets spend.
    """

    run: str
    noise_tasks: tuple[str, ...] = ()
    against_published: bool = False
    at_work: bool = False
    budget: bool = False
