"""The drawings of Fig. 4 and Fig. 5: exit layers and word error rate under noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from daisy.exits.method import DAISY, FULL, Kind, Method, rho_text
from daisy.noise.conditions import CLEAN
from daisy.noise.rows import WER_TASK, NoiseExitRow, NoiseWerRow
from daisy.report.noise_grid import CLAIM_SNR, LOST, exit_layers_of, kinds_of, ratios_of, shown_cell, wer_cells, wer_of
from daisy.report.plots import BAND, FAINT, INK, WIDTH
from daisy.report.wording import metric_label, noise_label, snr_label, task_title

VIOLIN, REST = "#0072B2", "#8a8a8a"
KIND_COLOURS: dict[Kind, str] = {"daisy": "#0072B2", "full": INK}
KIND_MARKERS: dict[Kind, str] = {"daisy": "o", "full": "*"}
FIXED_COLOURS = ("#D55E00", "#CC79A7", "#E69F00", "#56B4E9")


def _panels(lines: int, kinds: Sequence[str], height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `lines` rows of panels, one per kind, that share their axes."""
    width = WIDTH if len(kinds) > 1 else WIDTH * 0.6
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    axes = figure.subplots(lines, len(kinds), sharex=True, sharey=True, squeeze=False)
    return figure, axes.tolist()


def _ratio_axis(axes: Axes, ratios: Sequence[float | None], *, named: bool) -> None:
    axes.set_xticks(range(len(ratios)), [snr_label(value).removesuffix(" dB") for value in ratios])
    if named:
        axes.set_xlabel("Signal-to-noise ratio (dB)")


def exits_figure(exits: Mapping[str, Sequence[NoiseExitRow]], layers: int) -> Figure:
    """Fig. 4: how the exit layer is distributed as noise grows, a row of panels per task, a panel per kind.

    Args:
        exits: The exits of each task.
        layers: K, the top of the axis.
    """
    kinds = kinds_of(next(iter(exits.values())))
    figure, panels = _panels(len(exits), kinds, 0.9 + 2.55 * len(exits))
    for number, (task, rows) in enumerate(exits.items()):
        rho, strategy = shown_cell(rows)
        ratios = ratios_of(rows)
        for axes, kind in zip(panels[number], kinds, strict=True):
            data = [exit_layers_of(rows, kind, ratio, rho, strategy) for ratio in ratios]
            _violins(axes, data)
            axes.text(0.02, 0.99, _shift(data, ratios), transform=axes.transAxes, va="top", fontsize=9, color="#444444")
            if number == 0:
                axes.set_title(noise_label(kind), fontsize=12, fontweight="bold", pad=8)
            _ratio_axis(axes, ratios, named=number == len(exits) - 1)
            axes.set_ylim(0.5, layers + 1.6)
            axes.set_yticks([1, *range(3, layers + 1, 3)])
        panels[number][0].set_ylabel(f"{task_title(task)}\nexit layer")
    rho, strategy = shown_cell(next(iter(exits.values())))
    handles = [
        Line2D([], [], color=INK, marker="o", markersize=5, linewidth=1.5, label="mean"),
        Line2D([], [], color=FAINT, linewidth=1.2, linestyle=(0, (3, 2)), label="maximum and minimum"),
        Patch(facecolor=REST, alpha=0.45, label="clean speech"),
        Patch(facecolor=VIOLIN, alpha=0.45, label="noisy speech"),
    ]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.6)
    legend.set_title(f"How many test recordings stop at each layer (DAISY, ρ {rho_text(rho)}, candidates {strategy})")
    return figure


def _shift(data: Sequence[Sequence[int]], ratios: Sequence[float | None]) -> str:
    """What a panel says: how far the mean exit moves to the claim's ratio, or else the lowest one."""
    place = ratios.index(CLAIM_SNR) if CLAIM_SNR in ratios else len(ratios) - 1
    means = [sum(data[number]) / len(data[number]) for number in (0, place)]
    return f"{means[1] - means[0]:+.1f} layers from clean to {snr_label(ratios[place])}"


def _violins(axes: Axes, data: Sequence[Sequence[int]]) -> None:
    places = list(range(len(data)))
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    drawn: dict[str, Any] = dict(axes.violinplot(data, places, widths=0.85, showextrema=False, bw_method=0.35))
    for place, body in enumerate(drawn["bodies"]):
        body.set(facecolor=VIOLIN if place else REST, alpha=0.45, edgecolor="none", zorder=2)
    means = [sum(part) / len(part) for part in data]
    for edge in (max, min):
        axes.plot(places, [edge(part) for part in data], color=FAINT, linewidth=1.2, linestyle=(0, (3, 2)), zorder=3)
    axes.plot(places, means, color=INK, marker="o", markersize=5, linewidth=1.5, zorder=4)
    for place, mean in zip(places, means, strict=True):
        axes.annotate(
            f"{mean:.1f}",
            (place, mean),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=INK,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            zorder=5,
        )


def wer_figure(wer: Sequence[NoiseWerRow], rho: float, strategy: str) -> Figure:
    """Fig. 5: word error rate as noise grows, one panel per kind, a line per method with its 95% interval."""
    kinds = [kind for kind in dict.fromkeys(row.kind for row in wer) if kind != CLEAN]
    cells = wer_cells(wer, [rho], strategy)
    figure, panels = _panels(1, kinds, 4.0)
    looks = _looks([cell.method for cell in cells])
    handles = []
    for number, cell in enumerate(cells):
        look = looks[cell.method]
        exact = f"{DAISY.in_words} (ρ {rho_text(rho)}, {strategy})"
        label = exact if cell.method.by_entropy else cell.method.in_words
        handles.append(Line2D([], [], label=label, **look))
        # Side by side, so that no method hides another.
        shift = 0.1 * (number - (len(cells) - 1) / 2)
        for axes, kind in zip(panels[0], kinds, strict=True):
            rows = wer_of(wer, kind, cell)
            places = [place + shift for place in range(len(rows))]
            axes.plot(places, [row.wer for row in rows], zorder=3, **look)
            low, high = [row.ci_low for row in rows], [row.ci_high for row in rows]
            axes.vlines(places, low, high, color=look["color"], linewidth=1.2, alpha=0.6, zorder=2)
            _ratio_axis(axes, [row.snr_db for row in rows], named=True)
    shown_rows = [row for row in wer if row.cell in cells]
    top = max(row.ci_high for row in shown_rows) * 1.04
    for axes, kind in zip(panels[0], kinds, strict=True):
        axes.set_title(noise_label(kind), fontsize=12, fontweight="bold", pad=8)
        axes.grid(axis="y", color="#eeeeee", zorder=0)
        axes.set_ylim(0, max(top, LOST))
        if top > LOST:
            axes.axhspan(LOST, top, color=BAND, linewidth=0, zorder=0)
    panels[0][0].set_ylabel(f"{metric_label(WER_TASK, 'wer')}\nlower is better")
    shown = [*handles, Patch(color=BAND, label="hardly a word recognised")] if top > LOST else handles
    legend = figure.legend(handles=shown, loc="outside lower center", ncols=len(shown), columnspacing=1.6)
    legend.set_title("Vertical lines are 95% intervals by bootstrap over recordings")
    return figure


def _looks(methods: Sequence[Method]) -> dict[Method, dict[str, Any]]:
    """Colour, marker and line of every method: Fig. 3's markers."""
    fixed = iter(FIXED_COLOURS * len(methods))
    looks = {}
    for method in methods:
        marker = KIND_MARKERS.get(method.kind, "x")
        looks[method] = {
            "color": KIND_COLOURS.get(method.kind) or next(fixed),
            "marker": marker,
            "markersize": {"*": 9, "x": 6}.get(marker, 5),
            "markeredgewidth": 1.8 if marker == "x" else 1,
            "linewidth": 1.3,
            "linestyle": "--" if method == FULL else "-",
        }
    return looks
