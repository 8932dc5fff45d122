"""Hold what was asked against what was spent: thresholds for budgets, and what the test set spends at them.

A threshold is found once as the library finds it, by what the bundle keeps of the task's training set, and once in the
same way on the dev set. Arithmetic on entropies that are kept; the model gives what a layer and a branch cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from daisy.common import stage
from daisy.common.columns import write_table
from daisy.evaluation.rows import BudgetRow
from daisy.evaluation.spending import weightings
from daisy.exits.budget import kept, spending, within
from daisy.exits.calibration import Spending
from daisy.exits.rule import ExitRule
from daisy.features.measured import Measured, load_measured
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.library.arithmetic import costs
from daisy.report.drawing import STYLE, save
from daisy.report.plots import BAND, FAINT, TASK_COLOURS, WIDTH
from daisy.report.settings import BudgetSettings
from daisy.report.wording import task_title

SHARES = tuple(tenths / 10 for tenths in range(1, 10))
"""What is asked for, of the full model's arithmetic; what a model's first layer costs more than is left out."""

CALIBRATED = {"train": "-", "dev": ":"}
"""The sets by which thresholds are found, and how their lines are drawn."""

LEVEL = (0.025, 0.975)
"""The ends of a 95% interval."""


def spent_rows(
    task: str, known: dict[str, Spending], test: Measured, upstream: EarlyExitHubert, settings: BudgetSettings
) -> Iterator[BudgetRow]:
    """What a task's test set spends at every budget that a calibration can serve.

    Args:
        task: The task's name.
        known: What thresholds spend, by the set that says it.
        test: The test set.
        upstream: The model.
        settings: Config of the stage.
    """
    count, layers = test.entropies.shape
    weights = weightings(count, settings.draws, settings.seed)
    asking, full = costs(upstream, test.frames, settings.floor)
    for name, spends in known.items():
        for asked in SHARES:
            if asked < spends.spent[-1]:
                continue
            candidates, tau = within(spends, layers, asked)
            exits = ExitRule(candidates, tau).layers(test.entropies)
            shares = weights @ np.take_along_axis(asking, exits[:, None] - 1, axis=1)[:, 0] / (weights @ full)
            low, high = np.quantile(shares[1:], LEVEL).tolist()
            yield BudgetRow(task, name, asked, tau, float(shares[0]), low, high, float(exits.mean()), count)


def budget_figure(rows: Sequence[BudgetRow]) -> Figure:
    """Spent against asked: a line per task and calibration, and the line on which both are the same."""
    figure = Figure(figsize=(WIDTH * 0.72, WIDTH * 0.5), layout="constrained")
    axes = figure.subplots()
    shares = [row.asked for row in rows] or [0.0, 1.0]
    ends = [min(shares), max(shares)]
    axes.plot(ends, ends, color=BAND, linewidth=5, solid_capstyle="butt", label="as asked")
    for place, task in enumerate(dict.fromkeys(row.task for row in rows)):
        colour = TASK_COLOURS[place % len(TASK_COLOURS)]
        for name, dashes in CALIBRATED.items():
            own = [row for row in rows if (row.task, row.calibrated_on) == (task, name)]
            told = name == "train"
            label = task_title(task) if told else None
            axes.plot([row.asked for row in own], [row.spent for row in own], dashes, color=colour, label=label)
            if told:
                for row in own:
                    axes.plot([row.asked] * 2, [row.ci_low, row.ci_high], color=colour, linewidth=0.8)
    for axis, words in ((axes.xaxis, "Asked"), (axes.yaxis, "Spent on the test set")):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_label_text(words)
    axes.plot([], [], CALIBRATED["dev"], color=FAINT, label="threshold by the dev set")
    axes.set_title("Share of the full model's arithmetic")
    figure.legend(loc="outside right center")
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="the run's model with its calibrations")
    parser.add_argument("--dev", type=Path, nargs="*", required=True, help="entropies of dev sets, one per task")
    parser.add_argument("--test", type=Path, nargs="*", required=True, help="entropies of test sets, one per task")
    parser.add_argument("--tables", type=Path, required=True, help="output: folder of the table")
    parser.add_argument("--figures", type=Path, required=True, help="output: folder of the figure")
    arguments = parser.parse_args(argv)
    settings = stage.settings(BudgetSettings, arguments.settings)
    bundle, rows = load(arguments.bundle), list[BudgetRow]()
    for task, dev, test in zip(settings.tasks, map(load_measured, arguments.dev), arguments.test, strict=True):
        calibration = bundle.calibrations[task]
        upstream = EarlyExitHubert(bundle, calibration.signal)
        known = {"train": kept(calibration, task)}
        if found := spending(dev.entropies, *costs(upstream, dev.frames, settings.floor), settings.floor):
            known["dev"] = found
        rows += spent_rows(task, known, load_measured(test), upstream, settings)
    for row in rows:
        if row.calibrated_on == "train":
            print(f"{row.task}: asked {row.asked:.0%}, spent {row.spent:.1%}")
    write_table(BudgetRow, arguments.tables / "budget.csv", rows)
    with style.context(["default", STYLE]):
        save(budget_figure(rows), arguments.figures, "budget")


if __name__ == "__main__":
    stage.run(main)
