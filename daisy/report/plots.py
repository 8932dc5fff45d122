"""The drawings of Fig. 2 and Fig. 3, and the points that they show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from daisy.evaluation.rows import DevRow, EntropyRow, GridRow, ThresholdRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, SCALED, Kind, Method, rho_text
from daisy.report.choice import choose
from daisy.report.grid import compared_with, daisy_of, row_of, rows_of, tasks_of
from daisy.report.wording import cell_label, decimals, mean_signal, metric_label, task_title

TASK_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

MARKERS = {"avg": "o", "min-max": "s", "threshold": "^"}
MORE_MARKERS = ("D", "v", "P", "h", "<", ">")
FIXED_MARKERS = ("x", "+", "1", "2", "3")
OTHER_MARKERS: dict[Kind, str] = {"student": "X", "task-ee": "d", "oracle": "p"}
"""Of the cells beside DAISY: a student, a task's own exits, whatever their strategy, and DAISY's oracle."""

INK, FAINT, BAND = "#222222", "#8a8a8a", "#e4e4e4"
WIDTH = 9.0
"""Width in inches: at 10 points, text of 12 pixels and more in a README."""


class Point(NamedTuple):
    """A cell as Fig. 3 shows it: `x` the speed-up, `y` the metric, `low` and `high` its interval."""

    cell: GridCell
    x: float
    y: float
    low: float
    high: float


def points(grid: Sequence[GridRow], task: str) -> list[Point]:
    """What the panel of `task` shows: every cell, by the task's main metric."""
    return [Point(row.cell, row.speedup_vs_full, row.value, row.ci_low, row.ci_high) for row in rows_of(grid, task)]


def curve(entropy: Sequence[EntropyRow], task: str) -> tuple[list[int], list[float]]:
    """The layers and mean entropies of a task in nats, as Fig. 2 shows them."""
    rows = sorted((row for row in entropy if row.task == task), key=lambda row: row.layer)
    return [row.layer for row in rows], [row.mean_entropy for row in rows]


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights apart as little as needed, so that neighbours are at least `gap` apart; same order."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(heights[index])
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2 - 1e-12:
            last = groups.pop()
            centres.pop()
            groups[-1] += last
            centres[-1] = sum(heights[item] for item in groups[-1]) / len(groups[-1])
    result = list(heights)
    for group, centre in zip(groups, centres, strict=True):
        for place, index in enumerate(group):
            result[index] = centre + gap * (place - (len(group) - 1) / 2)
    return result


def entropy_figure(entropy: Sequence[EntropyRow], thresholds: Sequence[ThresholdRow]) -> Figure:
    """Fig. 2: mean entropy of every branch, one line per task, named at its end.

    Thresholds are drawn for one or two tasks; more of them would cover the lines.
    """
    figure = Figure(figsize=(WIDTH * 0.85, 4.2), layout="constrained")
    axes = figure.add_subplot()
    tasks = list(dict.fromkeys(row.task for row in entropy))
    if not tasks:
        axes.text(0.5, 0.5, "This run calibrated no threshold.", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    labels: list[tuple[float, float, str, str]] = []
    depth = max(row.layer for row in entropy)
    for place, task in enumerate(tasks):
        colour = TASK_COLOURS[place % len(TASK_COLOURS)]
        layers, means = curve(entropy, task)
        axes.plot(layers, means, color=colour, marker="o", markersize=5, linewidth=2, zorder=3)
        labels.append((layers[-1], means[-1], task_title(task), colour))
        for row in thresholds if len(tasks) <= 2 else ():
            if row.task == task and row.cell.method.by_entropy:
                axes.hlines(row.tau, 0.6, depth + 0.4, color=colour, linestyle=(0, (1, 2)), linewidth=1, alpha=0.8)
                labels.append((depth + 0.4, row.tau, f"exit below, ρ {rho_text(row.rho)}", colour))
    axes.set_xlim(0.6, depth + 0.4)
    axes.margins(y=0.08)
    _name_lines(axes, labels, depth + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=24, min_n_ticks=1))
    axes.set_xlabel("Layer")
    axes.set_ylabel(mean_signal(compared_with(thresholds)))
    axes.set_title("How unsure each layer's exit branch is, on each task's training set", fontsize=11, pad=10)
    return figure


def _name_lines(axes: Axes, labels: Sequence[tuple[float, float, str, str]], edge: float) -> None:
    """Write labels (x, y, text, colour) right of the axes, apart from each other, each tied to its line."""
    low, high = axes.get_ylim()
    heights = spread([y for _, y, _, _ in labels], (high - low) * 0.055)
    axes.set_ylim(min(low, min(heights)), max(high, max(heights)))
    for (x, y, text, colour), height in zip(labels, heights, strict=True):
        gap = 0.03 * edge
        axes.plot([x, edge, edge + gap], [y, y, height], color=colour, linewidth=0.7, clip_on=False)
        threshold = text.startswith("exit")
        axes.text(
            edge + 1.3 * gap,
            height,
            text,
            color=colour,
            va="center",
            fontsize=9 if threshold else 10,
            fontweight="normal" if threshold else "bold",
        )


def rho_colours(rhos: Sequence[float]) -> dict[float, str]:
    """A colour per scale, from dark to light in the order of the scales."""
    steps = max(1, len(rhos) - 1)
    return {rho: to_hex(colormaps["viridis"](0.05 + 0.68 * place / steps)) for place, rho in enumerate(rhos)}


def _markers(grid: Sequence[GridRow]) -> dict[str, str]:
    strategies = list(dict.fromkeys(row.strategy for row in grid if row.strategy))
    more = [name for name in strategies if name not in MARKERS]
    known = {name: marker for name, marker in MARKERS.items() if name in strategies}
    return known | {name: MORE_MARKERS[place % len(MORE_MARKERS)] for place, name in enumerate(more)}


def tradeoff_figure(grid: Sequence[GridRow], dev: Sequence[DevRow]) -> Figure:
    """Fig. 3: one panel per task, its main metric against the speed-up over the full model; `dev` chooses its cell."""
    tasks = tasks_of(grid)
    columns = min(2, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    shades = rho_colours(sorted({row.rho for row in grid if row.rho is not None}))
    markers = _markers(grid)
    # The paper's own fixed exit, layer 6, is always the cross.
    methods = {row.cell.method for row in grid if row.cell.method.layer}
    fixed = sorted(methods, key=lambda method: (method.layer != 6, method.name))
    crosses = {method: FIXED_MARKERS[place % len(FIXED_MARKERS)] for place, method in enumerate(fixed)}
    beside = {kind: OTHER_MARKERS[kind] for kind in OTHER_MARKERS if any(row.cell.method.kind == kind for row in grid)}
    legend_height = 0.35 + 0.21 * (1 + max(len(shades), len(markers), len(crosses) + len(beside) + 2))
    size = (WIDTH if columns == 2 else WIDTH * 0.85, 3.6 * lines + legend_height)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(lines, columns, place + 1)
        _panel(axes, grid, task, choose(rows_of(dev, task)), shades, markers, crosses)
    _legend(figure, shades, markers, crosses, beside)
    return figure


def _panel(
    axes: Axes,
    grid: Sequence[GridRow],
    task: str,
    chosen: GridCell | None,
    shades: Mapping[float, str],
    markers: Mapping[str, str],
    crosses: Mapping[Method, str],
) -> None:
    rows = rows_of(grid, task)
    axes.axvline(1, color=BAND, linewidth=1, zorder=0)
    for point in points(grid, task):
        method, strategy = point.cell.method, point.cell.strategy
        if method == FULL:
            axes.axhspan(point.low, point.high, color=BAND, linewidth=0, zorder=0)
            axes.axhline(point.y, color=FAINT, linewidth=1, linestyle="--", zorder=1)
            axes.plot(point.x, point.y, marker="*", markersize=15, color=INK, linestyle="none", zorder=5)
            continue
        colour = INK if method.rho is None else shades[method.rho]
        axes.vlines(point.x, point.low, point.high, color=colour, linewidth=0.8, alpha=0.45, zorder=2)
        marker = OTHER_MARKERS.get(method.kind) or (markers[strategy] if strategy else crosses.get(method, "x"))
        # Open markers: cells with the same candidates lie on one another, and all of them should show.
        fill = {"daisy": (*_rgb(colour), 0.25), "layer": colour}.get(method.kind, "none")
        axes.plot(
            point.x,
            point.y,
            marker=marker,
            markersize=13 if method.kind == "oracle" else 9,
            markeredgewidth=2.5 if method.layer else 1.8,
            markeredgecolor=colour,
            markerfacecolor=fill,
            linestyle="none",
            zorder=4,
        )
    axes.margins(x=0.08, y=0.1)
    _look_closer(axes, rows)
    better = "higher" if rows[0].higher_is_better else "lower"
    axes.set_ylabel(f"{metric_label(task, rows[0].metric)}\n{better} is better")
    axes.set_xlabel("Speed-up over the full model (right is faster)")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
    axes.set_title(task_title(task), fontsize=12, fontweight="bold", pad=34)
    message = axes.text(0, 1.03, _message(rows, chosen), transform=axes.transAxes, fontsize=9, color="#444444")
    # Otherwise a long line would narrow the panel.
    message.set_in_layout(False)


def far_off(rows: Sequence[GridRow]) -> list[GridRow]:
    """Cells of a task's own exits that lie so far from all others that these could not be told apart beside them."""
    low, high = _span([row for row in rows if row.cell.method.kind != "task-ee"])
    own = [row for row in rows if row.cell.method.kind == "task-ee"]
    if low == high:  # where all others are one point, nothing says what is far
        return []
    return [row for row in own if not 2 * low - high <= row.value <= 2 * high - low]


def _span(rows: Sequence[GridRow]) -> tuple[float, float]:
    return min((row.ci_low for row in rows), default=-math.inf), max((row.ci_high for row in rows), default=math.inf)


def _look_closer(axes: Axes, rows: Sequence[GridRow]) -> None:
    """Leave cells out of view that lie far off, and say where they are."""
    far = far_off(rows)
    if not far:
        return
    low, high = _span([row for row in rows if row not in far])
    axes.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low))
    for above in (True, False):
        values = [row.value for row in far if (row.value > high) == above]
        if values:
            ends = dict.fromkeys(f"{value:.3g}" for value in (min(values), max(values)))
            text = f"task exits at {' to '.join(ends)}, off the scale {'↑' if above else '↓'}"
            place, align = (0.98, "top") if above else (0.02, "bottom")
            axes.text(0.99, place, text, transform=axes.transAxes, fontsize=9, color=INK, ha="right", va=align)


def _message(rows: Sequence[GridRow], chosen: GridCell | None) -> str:
    """What a panel says of the cell that the dev set chooses, in two lines."""
    if row_of(rows, GridCell(FULL)) is None or not daisy_of(rows):
        return ""
    shown = row_of(rows, chosen)
    if shown is None:
        return "On the dev set no cheaper DAISY cell stays\nwithin the full model's 95% interval"
    value = f"{shown.value:.{decimals(shown.ci_high - shown.ci_low)}f}"
    return f"Chosen on the dev set: {cell_label(shown.cell)},\n{value} at {shown.speedup_vs_full:.2f}×"


def _rgb(colour: str) -> tuple[float, float, float]:
    text = to_hex(colour)
    red, green, blue = (int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _handle(label: str, marker: str, colour: str, *, size: float = 8, fill: str = "none") -> Line2D:
    return Line2D(
        [], [], linestyle="none", label=label, marker=marker, color=colour, markersize=size, markerfacecolor=fill,
        markeredgewidth=1.8,
    )  # fmt: skip


def _legend(
    figure: Figure,
    shades: Mapping[float, str],
    markers: Mapping[str, str],
    crosses: Mapping[Method, str],
    beside: Mapping[Kind, str],
) -> None:
    """One legend for all panels, a column each for scales, strategies and what DAISY is compared with."""
    scales: list[Line2D | Patch] = [
        _handle(f"ρ {rho_text(rho)}", "o", colour, fill=colour) for rho, colour in shades.items()
    ]
    shapes: list[Line2D | Patch] = [_handle(name, marker, INK) for name, marker in markers.items()]
    others: list[Line2D | Patch] = [_handle(method.in_words, marker, INK) for method, marker in crosses.items()]
    for kind, marker in beside.items():
        others.append(_handle(Method(kind).in_words + " (ρ as left)" * (kind in SCALED), marker, INK))
    others += [_handle("full model", "*", INK, size=13, fill=INK), Patch(color=BAND, label="its 95% interval")]
    heads = ("DAISY: threshold scale", "DAISY: candidate layers", "Compared with")
    columns: list[list[Line2D | Patch]] = []
    for head, items in zip(heads, (scales, shapes, others), strict=True):
        if items:
            columns.append([_handle(head, "", INK), *items])
    longest = max(map(len, columns))
    empty = _handle("", "", INK)
    handles = [item for column in columns for item in [*column, *[empty] * (longest - len(column))]]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=len(columns), columnspacing=2.5)
    for text in legend.get_texts():
        if text.get_text() in heads:
            text.set_fontweight("bold")
