"""Cells of the grid: a method with its choice of candidate layers, and their one order in tables and figures."""

from __future__ import annotations

import dataclasses
from typing import Any

from daisy.exits.candidates import STRATEGIES
from daisy.exits.method import Kind, Method

ORDER: tuple[Kind, ...] = ("full", "layer", "student", "daisy", "task-ee", "oracle", "input")


@dataclasses.dataclass(frozen=True)
class GridCell:
    """What a row of a table is about.

    Attributes:
        method: How exits come about.
        strategy: How candidate layers are chosen, where exits follow entropies; None for every other method.
    """

    method: Method
    strategy: str | None = None

    def __str__(self) -> str:
        return self.method.name if self.strategy is None else f"{self.method.name}, {self.strategy}"

    @property
    def key(self) -> tuple[Any, ...]:
        """Sort key: full, fixed layers by number, student, DAISY and task exits by scale and strategy, and the rest."""
        place = STRATEGIES.index(self.strategy) if self.strategy in STRATEGIES else len(STRATEGIES)
        kind, layer, rho = ORDER.index(self.method.kind), self.method.layer or 0, self.method.rho or 0.0
        return kind, layer, rho, place, self.strategy or ""
