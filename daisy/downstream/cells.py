"""The cells of an evaluation: a trained model, and where its utterances may stop, by strategy or at a fixed exit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from daisy.downstream.model import Downstream
from daisy.exits.candidates import candidate_layers
from daisy.exits.method import Method
from daisy.exits.rule import ExitRule


@dataclasses.dataclass(frozen=True)
class Cell:
    """One way of running a task's system: a cell of the evaluation grid, or a baseline.

    Attributes:
        model: The downstream model.
        rule: Where an utterance stops.
    """

    model: Downstream
    rule: ExitRule


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
    if not method.by_entropy:
        return {None: ExitRule((method.exit(layers),))}
    return {
        strategy: ExitRule(candidate_layers(strategy, trained["counts"], q), trained["tau"])
        for strategy, q in strategies.items()
    }


def build_cells(
    model: Downstream, method: Method, strategies: Mapping[str, float], trained: Mapping[str, Any]
) -> dict[str | None, Cell]:
    """The cells of a method's trained model, by strategy; see `exit_rules`."""
    rules = exit_rules(method, model.layers, strategies, trained)
    return {strategy: Cell(model, rule) for strategy, rule in rules.items()}
