"""Gather the variants of the target ablation into two tables and a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from daisy.common import stage
from daisy.common.files import read_json, write_csv
from daisy.errors import DaisyError
from daisy.exits.method import FULL, Method
from daisy.report.drawing import STYLE, save
from daisy.report.plots import FAINT, INK, TASK_COLOURS, WIDTH
from daisy.report.settings import AblationSettings
from daisy.report.wording import metric_label, task_title

COLUMNS = (
    *("variant", "kind", "layer", "clusters", "task", "strategy", "metric", "value", "ci_low", "ci_high"),
    *("higher_is_better", "mean_exit_layer", "speedup_vs_full", "full_value"),
)
SHOWN = "min-max"
"""The strategy of the figure's points: its exits follow the data the most."""


def label(targets: Mapping[str, Any]) -> str:
    """A variant in words."""
    if targets["kind"] == "head":
        return "HuBERT's own head"
    return f"layer {targets['layer']}, {targets['clusters']} clusters"


def by_variant(paths: Sequence[Path], settings: AblationSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the files of every variant and task hold, in the order of `settings`, each with its variant.

    Raises:
        DaisyError: if there are more or fewer files, or one is of another task.
    """
    cells = [(variant, task) for variant in settings.variants for task in settings.tasks]
    if len(paths) != len(cells):
        raise DaisyError(
            f"{len(paths)} files for {len(settings.variants)} variants of {len(settings.tasks)} tasks",
            fix="Name one per variant and task",
        )
    for path, (variant, task) in zip(paths, cells, strict=True):
        value = read_json(path)
        if value.get("task") != task:
            raise DaisyError(f"it is of the task {value.get('task')!r}, not {task}", file=path, fix="Run it again")
        yield variant, value


def result_rows(
    evaluations: Sequence[Path], topline_evaluations: Sequence[Path], settings: AblationSettings
) -> list[dict[str, Any]]:
    """``ablation.csv``: one row per variant, task, strategy and metric, beside what the full model scores."""
    toplines: dict[tuple[str, str], float] = {}
    for path in topline_evaluations:
        value = read_json(path)
        toplines |= {
            (value["task"], row["metric"]): row["value"] for row in value["rows"] if Method.parse(row["method"]) == FULL
        }
    rows = []
    for name, value in by_variant(evaluations, settings):
        targets = settings.variants[name]
        for row in value["rows"]:
            known = {key: row[key] for key in COLUMNS if key in row}
            named = {"variant": name, **{key: targets.get(key, "") for key in ("kind", "layer", "clusters")}}
            rows.append({**named, **known, "full_value": toplines[row["task"], row["metric"]]})
    return rows


def entropy_rows(calibrations: Sequence[Path], settings: AblationSettings) -> list[dict[str, Any]]:
    """``ablation_entropy.csv``: E_bar_k per variant, task and layer, in nats."""
    return [
        {"variant": name, "task": value["task"], "layer": layer, "mean_entropy": mean}
        for name, value in by_variant(calibrations, settings)
        for layer, mean in enumerate(value["mean_entropy"], start=1)
    ]


def colours(settings: AblationSettings) -> dict[str, str]:
    """A colour per variant."""
    return {name: TASK_COLOURS[place % len(TASK_COLOURS)] for place, name in enumerate(settings.variants)}


def draw(
    rows: Sequence[Mapping[str, Any]], entropies: Sequence[Mapping[str, Any]], settings: AblationSettings
) -> Figure:
    """Entropy per layer at the left, and each task's main metric against the mean exit layer."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(WIDTH * 1.1, 4.0), layout="constrained")
    panels = figure.subplots(1, 1 + len(tasks))
    _draw_entropies(panels[0], entropies, tasks[0], settings)
    for axes, task in zip(panels[1:], tasks, strict=True):
        _draw_results(axes, rows, task, settings)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


def _draw_entropies(axes: Axes, entropies: Sequence[Mapping[str, Any]], task: str, settings: AblationSettings) -> None:
    for name, targets in settings.variants.items():
        curve = [row for row in entropies if row["variant"] == name and row["task"] == task]
        axes.plot(
            [row["layer"] for row in curve],
            [row["mean_entropy"] for row in curve],
            color=colours(settings)[name],
            linewidth=3 if name == settings.default else 1.5,
            label=label(targets) + (" (this run)" if name == settings.default else ""),
        )
    axes.set_title(f"Entropy, {task_title(task).lower()}", fontsize=11)
    axes.set_xlabel("Layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=13))
    axes.set_ylabel("Mean entropy (nats)")
    axes.set_ylim(bottom=0)


def _draw_results(axes: Axes, rows: Sequence[Mapping[str, Any]], task: str, settings: AblationSettings) -> None:
    own = [row for row in rows if row["task"] == task]
    metric = own[0]["metric"]
    points = [row for row in own if row["metric"] == metric and row["strategy"] == SHOWN] or own
    for row in points:
        axes.errorbar(
            row["mean_exit_layer"],
            row["value"],
            yerr=[[row["value"] - row["ci_low"]], [row["ci_high"] - row["value"]]],
            color=colours(settings)[row["variant"]],
            marker="o",
            markersize=9 if row["variant"] == settings.default else 6,
            elinewidth=0.8,
        )
    axes.axhline(points[0]["full_value"], color=FAINT, linestyle="--", linewidth=1)
    axes.annotate(
        "full model", (1, points[0]["full_value"]), xycoords=("axes fraction", "data"), ha="right", va="bottom",
        fontsize=8, color=INK,
    )  # fmt: skip
    better = "higher" if points[0]["higher_is_better"] else "lower"
    axes.set_title(task_title(task), fontsize=11)
    axes.set_xlabel(f"Mean exit layer ({points[0]['strategy']})")
    axes.set_ylabel(f"{metric_label(task, metric)}, {better} is better")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument(
        "--evaluations", type=Path, nargs="*", required=True, help="one per variant and task, as the settings list them"
    )
    parser.add_argument("--calibrations", type=Path, nargs="*", required=True, help="the same")
    parser.add_argument(
        "--topline-evaluations", type=Path, nargs="*", required=True, help="of the full model, one per task"
    )
    parser.add_argument("--tables", type=Path, required=True, help="output: folder of the tables")
    parser.add_argument("--figures", type=Path, required=True, help="output: folder of the figure")
    arguments = parser.parse_args(argv)
    settings = stage.settings(AblationSettings, arguments.settings)
    if not settings.tasks:
        raise DaisyError("ablation.tasks names none of the run's tasks", fix="Name one of them")
    rows = result_rows(arguments.evaluations, arguments.topline_evaluations, settings)
    entropies = entropy_rows(arguments.calibrations, settings)
    write_csv(arguments.tables / "ablation.csv", COLUMNS, rows)
    write_csv(arguments.tables / "ablation_entropy.csv", ("variant", "task", "layer", "mean_entropy"), entropies)
    with style.context(["default", STYLE]):
        save(draw(rows, entropies, settings), arguments.figures, "ablation")


if __name__ == "__main__":
    stage.run(main)
