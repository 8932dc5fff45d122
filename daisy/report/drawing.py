"""How every figure looks, and how it is written."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from daisy.common.files import atomic

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#767676",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    # Ids in an SVG are hashes with this salt; without one they would differ from run to run.
    "svg.hashsalt": "daisy",
}
METADATA: dict[str, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""No date and no version: the same tables give the same bytes."""


def save(figure: Figure, out: Path, name: str) -> None:
    """Write a figure as PNG and SVG, atomically; the same figure gives the same files."""
    for ending, metadata in METADATA.items():
        with atomic(out / f"{name}.{ending}") as temporary:
            figure.savefig(temporary, format=ending, dpi=200, metadata=metadata)
