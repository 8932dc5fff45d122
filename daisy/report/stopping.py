"""The drawing of the method at work: one recording's entropy, falling layer by layer to where it stops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from daisy.exits.rule import ExitRule
from daisy.exits.signals import ENTROPY
from daisy.report.plots import FAINT, INK, spread
from daisy.report.wording import noise_label, signal_label, snr_label

CLEAN_COLOUR, NOISY_COLOURS = "#0072B2", ("#E69F00", "#D55E00", "#7A2E00")
"""Of speech without noise, and of the noisier the darker."""

Shown = tuple[float | None, str, np.ndarray, int]
"""A condition: its ratio in dB, the noise, the (K,) entropies in nats, and the exit layer."""


def draw(
    shown: Sequence[Shown],
    rule: ExitRule,
    words: str,
    heading: tuple[str, str] | None = None,
    signal: str = ENTROPY,
) -> Figure:
    """One line per condition, solid to where the recording stops and faint behind it.

    Args:
        shown: The conditions, from clean to noisy.
        rule: Where a recording may stop.
        words: What is shown, under the axis.
        heading: What it says, in two lines, for a figure that stands alone.
        signal: What is shown.
    """
    figure = Figure(figsize=(7.2, 4.9) if heading else (5.8, 4.1), layout="constrained")
    axes = figure.add_subplot()
    layers = len(shown[0][2])
    if len(rule.candidates) > 1:
        axes.axhspan(0, rule.tau, color="#eef5ee", linewidth=0, zorder=0)
        axes.axhline(rule.tau, color=INK, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        axes.annotate(
            "threshold", (0.7, rule.tau), (0, -3), textcoords="offset points", fontsize=10, va="top", color=INK
        )
    low, high = (
        edge(values.min() if edge is min else values.max() for _, _, values, _ in shown) for edge in (min, max)
    )
    room = high - low
    heights = spread([float(values[-1]) for _, _, values, _ in shown], 0.085 * room)
    for place, condition in enumerate(shown):
        _line(axes, condition, colours(shown)[place], heights[place], place)
    axes.set_ylim(max(0.0, min(low, rule.tau, *heights) - 0.08 * room), max(high, *heights) + 0.06 * room)
    axes.set_xlim(0.6, layers + 0.4)
    axes.set_xticks(range(1, layers + 1))
    axes.set_xlabel(f"Layer\n{words}", color=INK)
    unit = "entropy, nats" if signal == ENTROPY else signal_label(signal)
    axes.set_ylabel(f"How unsure the layer's branch is ({unit})")
    axes.tick_params(colors=FAINT, labelcolor=INK)
    if heading:
        axes.set_title(heading[0], fontsize=13, fontweight="bold", color=INK, pad=26)
        beneath = axes.text(0, 1.03, heading[1], transform=axes.transAxes, fontsize=10, color=INK)
        # Otherwise a long line would narrow the axes.
        beneath.set_in_layout(False)
    return figure


def colours(shown: Sequence[Shown]) -> list[str]:
    """A colour per condition."""
    noisy = sum(snr_db is not None for snr_db, *_ in shown)
    ramp = LinearSegmentedColormap.from_list("noise", NOISY_COLOURS)
    darker = iter(to_hex(ramp(place)) for place in np.linspace(0, 1, noisy))
    return [CLEAN_COLOUR if snr_db is None else next(darker) for snr_db, *_ in shown]


def _line(axes: Axes, condition: Shown, colour: str, height: float, place: int) -> None:
    """A condition's entropies, the layer at which it stops, and at the right end, at `height`, what it is.

    A later one's mark covers an earlier one's, number and all.
    """
    snr_db, kind, values, stop = condition
    layers = len(values)
    steps = np.arange(1, layers + 1)
    axes.plot(steps[stop - 1 :], values[stop - 1 :], color=colour, linewidth=1, alpha=0.45, zorder=2)
    axes.plot(steps[:stop], values[:stop], color=colour, linewidth=2.2, marker="o", markersize=4, zorder=3)
    axes.plot(stop, values[stop - 1], color=colour, marker="o", markersize=11, zorder=4 + place)
    axes.annotate(
        str(stop), (stop, values[stop - 1]), ha="center", va="center", fontsize=8, color="white", zorder=4 + place,
        fontweight="bold",
    )  # fmt: skip
    name = "clean" if snr_db is None else f"{noise_label(kind).lower()}, {snr_label(snr_db)}"
    axes.plot([layers, layers + 0.4], [values[-1], height], color=colour, linewidth=0.7, clip_on=False)
    axes.text(layers + 0.5, height, f"{name}: {stop}", color=colour, va="center", fontsize=10)
