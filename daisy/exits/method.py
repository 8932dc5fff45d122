"""Methods: how an utterance gets its exit layer, and what that is called in paths, tables and figures.

A method is ``daisy`` at one scale of the threshold (exits by entropy), ``full`` (all layers), ``layerN`` (always the
first N layers), ``task-ee``: exits by the entropy of heads that were trained for the task, one per layer; they are
trained without a scale, and judged at each; or ``student``: all layers of a small model that was distilled from the
frozen one. Two more occur in tables alone: ``oracle``, DAISY's model at the exits of
who knows the answer, and ``input``, the recordings as they are. Trainings depend on this module: the words of figures
and reports are in `daisy.report.wording`, the order of tables in `daisy.exits.cell`.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Literal

from daisy.common.for_people import for_people
from daisy.errors import DaisyError

Kind = Literal["full", "layer", "student", "daisy", "task-ee", "oracle", "input"]
SCALED = ("daisy", "task-ee", "oracle")
"""The kinds that have a scale, or stand for all scales."""

FIX = "Use daisy, full, layer and a number, task-ee or student"


def rho_name(rho: float) -> str:
    """The one spelling of a rho in paths."""
    return f"rho{float(rho):g}"


@for_people
def rho_text(rho: float) -> str:
    """A scale with at least one decimal, as the paper writes it."""
    text = f"{rho:g}"
    return text if "." in text or "e" in text else f"{text}.0"


@dataclasses.dataclass(frozen=True)
class Method:
    """One way of choosing exit layers.

    Attributes:
        kind: What decides.
        rho: The scale of the threshold; of ``daisy``, ``task-ee`` and ``oracle`` alone.
        layer: The layer of every exit; of ``layer`` alone.

    Raises:
        DaisyError: if the kind is unknown, or has a scale or a layer that it cannot have.
    """

    kind: Kind
    rho: float | None = None
    layer: int | None = None

    def __post_init__(self) -> None:
        known = self.kind in typing.get_args(Kind)
        scaled = self.rho is not None
        if not known or (self.kind == "layer") != bool(self.layer) or (scaled and self.kind not in SCALED):
            raise DaisyError(f"no method: {self.kind!r} with the scale {self.rho} and the layer {self.layer}", fix=FIX)

    @classmethod
    def parse(cls, name: str, rho: float | None = None) -> Method:
        """The method of a name: in a path or config (``daisy-rho0.7``, ``full``, ``layer6``), or a table's ``method``.

        Args:
            name: The name.
            rho: The scale, where it stands beside the name, as in tables.

        Raises:
            DaisyError: if there is no such method.
        """
        if name in typing.get_args(Kind) and name != "layer":
            return cls(name, rho)  # type: ignore[arg-type]
        if match := re.fullmatch(r"layer([1-9]\d*)", name):
            return cls("layer", rho, int(match[1]))
        if match := re.fullmatch(rf"({'|'.join(SCALED)})-rho(\d+(\.\d+)?(e[+-]\d+)?)", name):
            return cls(match[1], float(match[2]))  # type: ignore[arg-type]
        raise DaisyError(f"the method {name!r} is unknown", fix=FIX)

    @property
    def row(self) -> str:
        """The column ``method`` of tables; a scale has a column of its own."""
        return f"layer{self.layer}" if self.kind == "layer" else self.kind

    @property
    def scale(self) -> str:
        """The scale in paths; empty without one."""
        return "" if self.rho is None else rho_name(self.rho)

    @property
    def name(self) -> str:
        """The name in paths."""
        return self.row if self.rho is None else f"{self.row}-{rho_name(self.rho)}"

    @property
    @for_people
    def in_words(self) -> str:
        """The method as figures and reports write it, with its scale if it has one."""
        known = {
            "full": "full model",
            "layer": f"first {self.layer} layers",
            "student": "distilled student",
            "daisy": "DAISY",
            "task-ee": "task exits",
            "oracle": "oracle",
            "input": "unprocessed input",
        }
        return known[self.kind] + ("" if self.rho is None else f" ρ {rho_text(self.rho)}")

    @property
    def by_entropy(self) -> bool:
        """Whether utterances exit by the entropies of the exit branches."""
        return self.kind == "daisy"

    @property
    def adaptive(self) -> bool:
        """Whether every utterance exits where entropies say: of the exit branches, or of a task's own exits."""
        return self.kind in ("daisy", "task-ee")

    def exit(self, layers: int) -> int:
        """The one layer of every exit, in a model of `layers` layers.

        Raises:
            DaisyError: if the model has no such layer.
            ValueError: if exits follow entropies, or nothing exits.
        """
        if self.kind not in ("full", "layer", "student"):
            raise ValueError(f"{self.name} has no fixed exit")
        if self.layer is not None and self.layer > layers:
            raise DaisyError(f"the method {self.name} on a model of {layers} layers", fix="Choose a smaller layer")
        return layers if self.layer is None else self.layer


DAISY, TASK_EXITS, FULL, INPUT = Method("daisy"), Method("task-ee"), Method("full"), Method("input")
"""DAISY and a task's own exits whatever their scale, the topline, and the recordings as they are."""

STUDENT = Method("student")
"""A model of its own: it reads other states than the others, and runs in place of the frozen model."""
