"""The drawings of what signals give, and of Fig. 3 as a curve; the rows of their tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from daisy.evaluation.rows import GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, STUDENT, rho_text
from daisy.exits.signals import ENTROPY, SIGNALS
from daisy.report.grid import daisy_of, row_of, rows_of
from daisy.report.plots import BAND, FAINT, INK, MARKERS, OTHER_MARKERS, TASK_COLOURS, WIDTH, rho_colours
from daisy.report.wording import metric_label, signal_label, task_title

BESIDE = {"random": (0, (1, 1.5)), "fixed": (0, (5, 2)), "oracle": "-"}
"""What signals are held against, and how its lines are drawn."""

GREYED = "#c4c4c4"


@dataclasses.dataclass(frozen=True)
class SignalRow:
    """A signal's mean result over all that can be spent: ``signals.csv``.

    Attributes:
        task: The task's name.
        rho: The scale at which the model was trained.
        signal: Its name; ``random``, ``fixed`` and ``oracle`` are none, but what signals are held against.
        metric: The metric's name.
        higher_is_better: Its direction.
        value: The mean over the curve, in the metric's unit.
        ci_low: Lower end of its 95% interval.
        ci_high: Upper end.
        difference: Less that of entropy.
        difference_low: Lower end of its 95% interval, paired.
        difference_high: Upper end.
        verdict: ``better``, ``worse`` or ``tie``; empty for entropy.
    """

    task: str
    rho: float
    signal: str
    metric: str
    higher_is_better: bool
    value: float
    ci_low: float
    ci_high: float
    difference: float
    difference_low: float
    difference_high: float
    verdict: str

    @property
    def is_signal(self) -> bool:
        """Whether it is a signal, and not what signals are held against."""
        return self.signal not in BESIDE


@dataclasses.dataclass(frozen=True)
class CurveRow:
    """A point of a curve: ``signals_curve.csv``.

    Attributes:
        task: The task's name.
        rho: The scale at which the model was trained.
        signal: Its name.
        tau: The threshold; None where there is none.
        share: Of the full model's arithmetic.
        mean_exit_layer: Mean over the set.
        value: The metric.
        ci_low: Lower end of its 95% interval.
        ci_high: Upper end.
    """

    task: str
    rho: float
    signal: str
    tau: float | None
    share: float
    mean_exit_layer: float
    value: float
    ci_low: float
    ci_high: float


def dominated(rows: Sequence[GridRow]) -> set[GridCell]:
    """The cells of a task's rows for one metric than which another is better and no dearer, or cheaper and as good."""

    def beats(one: GridRow, other: GridRow) -> bool:
        no_dearer = one.macs_per_second <= other.macs_per_second
        better = one.value != other.value or one.macs_per_second < other.macs_per_second
        return no_dearer and one.reaches(other.value) and better

    return {row.cell for row in rows if any(beats(other, row) for other in rows)}


def colours() -> dict[str, str]:
    """A colour per signal."""
    return {name: TASK_COLOURS[place % len(TASK_COLOURS)] for place, name in enumerate(SIGNALS)}


def signals_figure(rows: Sequence[SignalRow], curves: Sequence[CurveRow]) -> Figure:
    """Per task the curve of every signal, above by how much its mean differs from entropy's; at the largest scale."""
    rho = max(row.rho for row in rows)
    rows, curves = [row for row in rows if row.rho == rho], [row for row in curves if row.rho == rho]
    tasks = list(dict.fromkeys(row.task for row in rows))
    figure = Figure(figsize=(WIDTH * max(1.0, len(tasks) / 2), 6.6), layout="constrained")
    panels = figure.subplots(2, len(tasks), squeeze=False, height_ratios=(3, 1.3))
    for place, task in enumerate(tasks):
        own = [row for row in rows if row.task == task]
        _draw_curves(panels[0, place], [row for row in curves if row.task == task], own, rho)
        _draw_differences(panels[1, place], [row for row in own if row.is_signal])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def _draw_curves(axes: Axes, curves: Sequence[CurveRow], rows: Sequence[SignalRow], rho: float) -> None:
    task, shades = rows[0].task, colours()
    for name in dict.fromkeys(row.signal for row in curves):
        points = [row for row in curves if row.signal == name]
        axes.plot(
            [row.share for row in points],
            [row.value for row in points],
            color=shades.get(name, INK if name == "oracle" else FAINT),
            linestyle=BESIDE.get(name, "-"),
            linewidth=2.4 if name == ENTROPY else 1.5,
            zorder=4 if name == ENTROPY else 3,
            label=signal_label(name),
        )
    axes.set_title(f"{task_title(task)}, trained at ρ {rho_text(rho)}", fontsize=11)
    _label(axes, task, rows[0].metric, rows[0].higher_is_better)


def _label(axes: Axes, task: str, metric: str, higher_is_better: bool) -> None:
    axes.set_xlabel("Share of the full model's arithmetic")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel(f"{metric_label(task, metric)}\n{'higher' if higher_is_better else 'lower'} is better")


def _draw_differences(axes: Axes, rows: Sequence[SignalRow]) -> None:
    shades, others = colours(), [row for row in rows if row.signal != ENTROPY]
    axes.axvline(0, color=FAINT, linewidth=1, linestyle="--")
    for place, row in enumerate(reversed(others)):
        spread = [[row.difference - row.difference_low], [row.difference_high - row.difference]]
        axes.errorbar(row.difference, place, xerr=spread, color=shades.get(row.signal, INK), marker="o", linewidth=1.5)
    axes.set_yticks(range(len(others)), [f"{row.signal} ({row.verdict})" for row in reversed(others)], fontsize=9)
    axes.margins(y=0.15)
    better = "right" if rows[0].higher_is_better else "left"
    axes.set_xlabel(f"Curve's mean, less entropy's ({better} is better)")


def curve_figure(grid: Sequence[GridRow], curves: Sequence[CurveRow]) -> Figure:
    """Fig. 3 as a curve: every model as its threshold moves, beside the grid's cells; dominated ones are grey."""
    tasks = list(dict.fromkeys(row.task for row in curves))
    shades = rho_colours(sorted({row.rho for row in curves}))
    lines = math.ceil(len(tasks) / 2)
    figure = Figure(figsize=(WIDTH if len(tasks) > 1 else WIDTH * 0.85, 3.6 * lines + 0.9), layout="constrained")
    panels = figure.subplots(lines, min(2, len(tasks)), squeeze=False).flat
    for axes, task in zip(panels, tasks, strict=False):
        for rho, shade in shades.items():
            points = [row for row in curves if row.task == task and row.rho == rho]
            x = [row.share for row in points]
            axes.fill_between(
                x, [row.ci_low for row in points], [row.ci_high for row in points], color=shade, alpha=0.1, linewidth=0
            )
            axes.plot(x, [row.value for row in points], color=shade, linewidth=1.8)
        _draw_cells(axes, rows_of(grid, task), shades)
        axes.set_title(task_title(task), fontsize=11)
    for axes in list(panels)[len(tasks) :]:
        axes.set_axis_off()
    _curve_legend(figure, shades, any(row.cell.method == STUDENT for row in grid))
    return figure


def _draw_cells(axes: Axes, rows: Sequence[GridRow], shades: dict[float, str]) -> None:
    """DAISY's cells, the fixed exits, a student and the full model; without a full model there is no share to draw."""
    full = row_of(rows, GridCell(FULL))
    if full is None:
        return
    worse = dominated(daisy_of(rows))
    axes.axhspan(full.ci_low, full.ci_high, color=BAND, linewidth=0, zorder=0)
    for row in rows:
        method, share = row.cell.method, row.macs_per_second / full.macs_per_second
        if method in (FULL, STUDENT) or method.layer:
            marker = {"full": "*", "student": OTHER_MARKERS["student"]}.get(method.kind, "x")
            axes.plot(share, row.value, marker, color=INK, markersize=11, zorder=5)
        elif method.by_entropy and method.rho in shades:
            grey = row.cell in worse
            axes.plot(
                share,
                row.value,
                MARKERS.get(row.strategy or "", "D"),
                color=GREYED if grey else shades[method.rho],
                markerfacecolor="none",
                markeredgewidth=1.8,
                markersize=9,
                zorder=4 if grey else 6,
            )
    _label(axes, rows[0].task, rows[0].metric, rows[0].higher_is_better)


def _curve_legend(figure: Figure, shades: dict[float, str], student: bool) -> None:
    curves = [Line2D([], [], color=shade, label=f"ρ {rho_text(rho)}, τ moves") for rho, shade in shades.items()]
    cells = [_mark(marker, INK, name) for name, marker in MARKERS.items()]
    others = [
        _mark("o", GREYED, "dominated by another cell"), _mark("*", INK, "full model"), _mark("x", INK, "fixed exit"),
    ]  # fmt: skip
    others += [_mark(OTHER_MARKERS["student"], INK, STUDENT.in_words)] if student else []
    figure.legend(handles=[*curves, *cells, *others], loc="outside lower center", ncols=3)


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markerfacecolor="none", label=label)
