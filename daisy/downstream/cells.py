"""The cells of an evaluation: a trained model, and where its utterances may stop, by entropies or at a fixed exit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from daisy.downstream.model import TaskModel
from daisy.exits.candidates import candidate_layers
from daisy.exits.cell import GridCell
from daisy.exits.method import TASK_EXITS, Method
from daisy.exits.rule import ExitRule
from daisy.hubert.judge import Judge


@dataclasses.dataclass(frozen=True)
class Cell:
    """One way of running a task's system: a cell of the evaluation grid, or a baseline.

    Attributes:
        model: The downstream model.
        rule: Where an utterance stops.
        judge: Whose entropies tell; None for the exit branches of the upstream.
    """

    model: TaskModel
    rule: ExitRule
    judge: Judge | None = None


def exit_rules(
    method: Method, layers: int, strategies: Mapping[str, float], trained: Mapping[str, Any]
) -> dict[str | None, ExitRule]:
    """The exit rules of a method at inference, by strategy; a fixed exit has one, without a strategy.

    Args:
        method: How utterances get their exit layers.
        layers: K.
        strategies: q of every strategy; not looked at for a fixed exit.
        trained: What the training of the downstream model wrote about its exits: `counts` and `tau`.

    Raises:
        DaisyError: if the model lacks the method's layer, or a strategy is unknown.
    """
    if not method.adaptive:
        return {None: ExitRule((method.exit(layers),))}
    return {
        strategy: ExitRule(candidate_layers(strategy, trained["counts"], q), trained["tau"])
        for strategy, q in strategies.items()
    }


def by_scale(method: Method, trained: Mapping[str, Any]) -> dict[Method, Mapping[str, Any]]:
    """What a training wrote about its exits, by the method with its scale: one of them but for a task's own exits."""
    if method != TASK_EXITS:
        return {method: trained}
    return {Method(method.kind, float(item["rho"])): item for item in trained["scales"]}


def build_cells(
    model: TaskModel,
    method: Method,
    strategies: Mapping[str, float],
    trained: Mapping[str, Any],
    judge: Judge | None = None,
) -> dict[GridCell, Cell]:
    """The cells of a method's trained model; see `exit_rules`."""
    return {
        GridCell(scaled, strategy): Cell(model, rule, judge)
        for scaled, exits in by_scale(method, trained).items()
        for strategy, rule in exit_rules(scaled, model.layers, strategies, exits).items()
    }
