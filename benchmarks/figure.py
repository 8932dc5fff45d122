"""The figure: time of a pass relative to the project's own full forward pass in float32."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers import PACKAGES
from benchmarks.table import Row
from benchmarks.targets import Tables
from daisy.common.files import atomic
from daisy.report.drawing import METADATA, STYLE
from daisy.report.plots import FAINT, INK, TASK_COLOURS, WIDTH

OWN = "daisy float32"
BLUE, ORANGE, GREEN = TASK_COLOURS[:3]
GROUPS = {
    "Other implementations, all layers": FAINT,
    "DAISY, all layers": BLUE,
    "DAISY, early exit": ORANGE,
    "Bounds": GREEN,
}
"""The groups of bars, from the top, with their colours."""


class Bar(NamedTuple):
    """One bar: its group, its name, and its length with the ends of its spread."""

    group: str
    name: str
    value: float
    low: float
    high: float


def bars(tables: Tables) -> list[Bar]:
    """What the figure shows, by group, the longest first."""
    found = [bar for bar in map(_of_forward, tables.get("forward", ())) if bar]
    if found:
        found.append(Bar("DAISY, all layers", "float32", 1.0, 1.0, 1.0))
    found += [bar for bar in map(_of_exits, tables.get("exits", ())) if bar]
    order = list(GROUPS)
    return sorted(found, key=lambda bar: (order.index(bar.group), -bar.value))


def _of_forward(row: Row) -> Bar | None:
    if row["against"] != OWN or row["batch"] != 1 or "kept" in row["system"]:
        return None
    own, _, rest = row["system"].partition(" ")
    spread = row["ratio"], row["lowest"], row["highest"]
    if own in PACKAGES:
        return Bar("Other implementations, all layers", f"{own}, {rest}", *spread)
    if own == "limit":
        return Bar("Bounds", f"at a product's rate, {rest}", *spread)
    return Bar("DAISY, all layers", rest, *spread)


def _of_exits(row: Row) -> Bar | None:
    if row["against"] != "full" or row["batch"] != 1:
        return None
    spread = row["ratio"], row["lowest"], row["highest"]
    if row["system"] == "front end":
        return Bar("Bounds", "front end alone, float32", *spread)
    return Bar("DAISY, early exit", f"layer {row['layer']}, float32", *spread)


def message(shown: Sequence[Bar]) -> str:
    """What the figure says, in a sentence."""
    peers = [bar for bar in shown if bar.group.startswith("Other") and "float32" in bar.name]
    exits = [bar for bar in shown if bar.group == "DAISY, early exit"]
    said = []
    if peers:
        said.append(f"the fastest other HuBERT takes {min(bar.value for bar in peers):.2f} times as long")
    if exits:
        middle = sorted(exits, key=lambda bar: bar.value)[len(exits) // 2]
        said.append(f"stopping at {middle.name.partition(',')[0]} {middle.value:.2f} times")
    return f"Beside DAISY's full forward in float32, {', and '.join(said)}" if said else ""


def draw(tables: Tables, out: Path) -> bool:
    """Draw the figure as PNG; False if the tables have nothing for it."""
    shown = bars(tables)
    if not shown:
        return False
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, 1.1 + 0.27 * len(shown) + 0.25 * len(GROUPS)), layout="constrained")
        figure.suptitle(textwrap.fill(message(shown), 90), x=0.01, ha="left", fontsize=11)
        _fill(figure.add_subplot(), shown)
        with atomic(out) as temporary:
            figure.savefig(temporary, format="png", dpi=200, metadata=METADATA["png"])
    return True


def _fill(axes: Axes, shown: Sequence[Bar]) -> None:
    place, ticks, names = 0.0, [], []
    for group, colour in GROUPS.items():
        members = [bar for bar in shown if bar.group == group]
        if not members:
            continue
        place -= 1.0
        axes.text(0, place, group, va="center", fontweight="bold", color=colour if colour != FAINT else INK)
        for bar in members:
            place -= 1.0
            axes.barh(place, bar.value, color=colour, height=0.72)
            axes.hlines(place, bar.low, bar.high, color=INK, linewidth=1.2)
            axes.text(max(bar.value, bar.high) + 0.012, place, f"{bar.value:.2f}", va="center", fontsize=9)
            ticks.append(place)
            names.append(bar.name)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(place - 0.7, -0.4)
    axes.set_xlim(0, 1.08 * max(bar.high for bar in shown))
    axes.set_xlabel("Time of a pass, relative to DAISY's full forward in float32 (left is faster)")
