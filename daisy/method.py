"""Methods: how an utterance gets its exit layer, and what that is called in paths, tables and figures.

A method is ``daisy`` at one scale of the threshold (exits by entropy), ``full`` (all layers), ``layerN`` (always the
first N layers), or ``input``, the method of table rows that judge recordings as they are.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

from daisy.errors import DaisyError

Kind = Literal["full", "layer", "daisy", "input"]
ORDER: tuple[Kind, ...] = ("full", "layer", "daisy", "input")
"""How tables sort methods."""


def rho_name(rho: float) -> str:
    """The one spelling of a rho in paths."""
    return f"rho{float(rho):g}"


def rho_text(rho: float) -> str:
    """The scale with at least one decimal, as the paper writes it."""
    text = f"{rho:g}"
    return text if "." in text or "e" in text else f"{text}.0"


@dataclasses.dataclass(frozen=True)
class Method:
    """One way of choosing exit layers.

    Attributes:
        kind: What decides.
        rho: The scale of the threshold; of ``daisy`` alone.
        layer: The layer of every exit; of ``layer`` alone.
    """

    kind: Kind
    rho: float | None = None
    layer: int | None = None

    @classmethod
    def parse(cls, name: str, rho: float | None = None) -> Method:
        """The method of a name: in a path or config (``daisy-rho0.7``, ``full``, ``layer6``), or a table's ``method``.

        Args:
            name: The name.
            rho: The scale, where it stands beside the name, as in tables.

        Raises:
            DaisyError: if there is no such method.
        """
        match = re.fullmatch(r"(full|input|daisy)|layer([1-9]\d*)|daisy-rho(\d.*)", name)
        try:
            if match is None:
                raise ValueError
            if match[1]:
                return cls(match[1], rho if match[1] == "daisy" else None)  # type: ignore[arg-type]
            return cls("layer", layer=int(match[2])) if match[2] else cls("daisy", float(match[3]))
        except ValueError:
            raise DaisyError(f"the method {name!r} is unknown", fix="Use daisy, full, or layer and a number") from None

    @property
    def row(self) -> str:
        """The column ``method`` of tables; a scale has a column of its own."""
        return f"layer{self.layer}" if self.kind == "layer" else self.kind

    @property
    def name(self) -> str:
        """The name in paths."""
        return self.row if self.rho is None else f"{self.row}-{rho_name(self.rho)}"

    @property
    def label(self) -> str:
        """The method in words, for figures and reports."""
        words = {"full": "full model", "input": "unprocessed input", "layer": f"first {self.layer} layers"}
        scale = "" if self.rho is None else f" ρ {rho_text(self.rho)}"
        return words.get(self.kind, "DAISY") + scale

    @property
    def by_entropy(self) -> bool:
        """Whether utterances exit by their entropies."""
        return self.kind == "daisy"

    @property
    def key(self) -> tuple[Any, ...]:
        """Sort key: full, fixed layers by their number, DAISY by its scale, then the input."""
        return ORDER.index(self.kind), self.layer or 0, self.rho or 0.0

    def exit(self, layers: int) -> int:
        """The one layer of every exit, in a model of `layers` layers.

        Raises:
            DaisyError: if the model has no such layer.
            ValueError: if exits follow entropies.
        """
        if self.kind not in ("full", "layer"):
            raise ValueError(f"{self.name} has no fixed exit")
        if self.layer is not None and self.layer > layers:
            raise DaisyError(f"the method {self.name} on a model of {layers} layers", fix="Choose a smaller layer")
        return layers if self.layer is None else self.layer


DAISY, FULL, INPUT = Method("daisy"), Method("full"), Method("input")
"""DAISY whatever its scale, the topline, and the recordings as they are."""
