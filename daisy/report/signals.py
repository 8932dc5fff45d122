"""Compare the signals by which utterances may stop: curves of result against cost, their means, and Fig. 3 as a curve.

Two tables. ``signals.csv`` has the mean result over all that can be spent, per task, scale and signal, and by how much
it differs from entropy's; beside the signals, entropy's own exits dealt out at random (``random``), the same layer for
all (``fixed``), and the bound (``oracle``). ``signals_curve.csv`` has the curves themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import style

from daisy.common import stage
from daisy.common.columns import read_table, write_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import GridRow
from daisy.evaluation.spending import Curve, EveryExit, Plane, load_exits, weightings
from daisy.exits.signals import ENTROPY
from daisy.features.measured import load_signals
from daisy.report.drawing import STYLE, save
from daisy.report.settings import SignalsTableSettings
from daisy.report.signal_plots import CurveRow, SignalRow, curve_figure, signals_figure
from daisy.tasks.base import Metric
from daisy.tasks.loading import task_class

LEVEL = (0.025, 0.975)
"""The ends of a 95% interval."""


@dataclasses.dataclass(frozen=True)
class Compared:
    """The curves of one model.

    Attributes:
        task: The task's name.
        rho: The scale that it was trained at.
        metric: The task's main metric.
        curves: By signal, and ``random``, ``fixed`` and ``oracle``.
    """

    task: str
    rho: float
    metric: Metric
    curves: Mapping[str, Curve]

    def means(self) -> dict[str, np.ndarray]:
        """(W,) of every curve: the mean result over what the signals can spend, from all at once to all at the end."""
        entropy = self.curves[ENTROPY]
        return {name: curve.means(entropy.share[:, 0], entropy.share[:, -1]) for name, curve in self.curves.items()}


def compare(
    task: str, rho: float, signals: Mapping[str, np.ndarray], every: EveryExit, settings: SignalsTableSettings
) -> Compared:
    """The curves of one model by every signal.

    Raises:
        DaisyError: if signals and results are of different recordings or models.
    """
    count, layers = every.shape
    if any(values.shape != (count, layers) for values in signals.values()):
        raise DaisyError(
            f"signals of {task} for another test set or model than results per layer",
            fix="Run the stages of signals and layers again",
        )
    metric = task_class(task).metrics[0]
    plane = Plane(every, metric, weightings(count, settings.draws, settings.seed), settings.floor)
    curves = {name: plane.by_signal(values) for name, values in signals.items()}
    curves |= {"random": plane.dealt(signals[ENTROPY]), "fixed": plane.fixed(), "oracle": plane.oracle()}
    return Compared(task, rho, metric, curves)


def verdict(low: float, high: float, higher_is_better: bool) -> str:
    """What an interval of a difference says: ``better``, ``worse``, or ``tie`` if it holds zero."""
    if low <= 0 <= high:
        return "tie"
    return "better" if (low > 0) == higher_is_better else "worse"


def mean_rows(compared: Compared) -> list[SignalRow]:
    """The rows of one model in ``signals.csv``."""
    means, metric = compared.means(), compared.metric
    rows = []
    for name, found in means.items():
        apart = found - means[ENTROPY]
        low, high = np.quantile(found[1:], LEVEL)
        least, most = (float(end) for end in np.quantile(apart[1:], LEVEL))
        rows.append(
            SignalRow(
                task=compared.task,
                rho=compared.rho,
                signal=name,
                metric=metric.name,
                higher_is_better=metric.higher_is_better,
                value=float(found[0]),
                ci_low=float(low),
                ci_high=float(high),
                difference=float(apart[0]),
                difference_low=least,
                difference_high=most,
                verdict="" if name == ENTROPY else verdict(least, most, metric.higher_is_better),
            )
        )
    return rows


def curve_rows(compared: Compared) -> list[CurveRow]:
    """The rows of one model in ``signals_curve.csv``."""
    rows = []
    for name, curve in compared.curves.items():
        low, high = np.quantile(curve.value[1:], LEVEL, axis=0)
        for point, tau in enumerate(curve.tau.tolist()):
            rows.append(
                CurveRow(
                    *(compared.task, compared.rho, name, tau if np.isfinite(tau) else None),
                    *(float(curve.share[0, point]), float(curve.mean_exit[point]), float(curve.value[0, point])),
                    *(float(low[point]), float(high[point])),
                )
            )
    return rows


def tell(rows: Sequence[SignalRow], task: str, rho: float) -> str:
    """Which signal is best for a model, and by how much; that none is, if entropy may be as good."""
    own = [row for row in rows if (row.task, row.rho) == (task, rho) and row.is_signal]
    best = (max if own[0].higher_is_better else min)(own, key=lambda row: row.value)
    if best.signal == ENTROPY:
        others = [row.signal for row in own if row.verdict == "tie"]
        return f"entropy is best{', tied with ' + ', '.join(others) if others else ''}"
    apart = f"{best.difference:+.2f} [{best.difference_low:+.2f}, {best.difference_high:+.2f}] against entropy"
    return f"{best.signal} is {'best' if best.verdict == 'better' else 'ahead, but ties'}: {apart}"


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--signals", type=Path, nargs="*", required=True, help="of the test set, one per task")
    parser.add_argument("--layers", type=Path, nargs="*", required=True, help="one per task and scale, task by task")
    parser.add_argument("--grid", type=Path, required=True, help="the run's grid.csv")
    parser.add_argument("--tables", type=Path, required=True, help="output: folder of the tables")
    parser.add_argument("--figures", type=Path, required=True, help="output: folder of the figures")
    arguments = parser.parse_args(argv)
    settings = stage.settings(SignalsTableSettings, arguments.settings)
    if not settings.tasks:
        raise DaisyError(
            "evaluation.oracle names none of the run's tasks, or the run has no DAISY",
            fix="Name a task whose models are judged at every layer",
        )
    measured = dict(zip(settings.tasks, map(load_signals, arguments.signals), strict=True))
    cells = [(task, rho) for task in settings.tasks for rho in settings.rho]
    models = [
        compare(task, rho, measured[task], load_exits(path), settings)
        for (task, rho), path in zip(cells, arguments.layers, strict=True)
    ]
    rows = [row for compared in models for row in mean_rows(compared)]
    curves = [row for compared in models for row in curve_rows(compared)]
    for task, rho in cells:
        print(f"{task} rho {rho:g}: {tell(rows, task, rho)}")
    write_table(SignalRow, arguments.tables / "signals.csv", rows)
    write_table(CurveRow, arguments.tables / "signals_curve.csv", curves)
    grid = read_table(GridRow, arguments.grid)
    with style.context(["default", STYLE]):
        save(signals_figure(rows, curves), arguments.figures, "signals")
        save(curve_figure(grid, [row for row in curves if row.signal == settings.own]), arguments.figures, "fig3_curve")


if __name__ == "__main__":
    stage.run(main)
