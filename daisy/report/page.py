"""Put a run's tables, figures and circumstances on one page that opens from the disk, without a network."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from daisy.common import stage
from daisy.common.columns import read_table
from daisy.common.files import read_csv, write_text
from daisy.errors import DaisyError
from daisy.evaluation.rows import BudgetRow, CandidateRow, DevRow, EntropyRow, ExitRow, GridRow, SeedRow, ThresholdRow
from daisy.report import html, provenance
from daisy.report.against_published import AgainstPublishedRow
from daisy.report.beside import Run, beside_section, read_run
from daisy.report.budget_section import BUDGET_FIGURES, budget_section
from daisy.report.claim import ClaimRow, tally
from daisy.report.exit_sections import histogram_section, published_section, threshold_section
from daisy.report.grid import compared_with, daisy_of, rows_of, tasks_of
from daisy.report.noise_grid import NoiseResults, read_noise
from daisy.report.noise_section import NOISE_FIGURES, noise_section
from daisy.report.sections import (
    branch_section,
    example_section,
    grid_section,
    seed_section,
    side_by_side_section,
)
from daisy.report.settings import ReportSettings
from daisy.report.summary import counted, grouped, headline, headline_note, what_was_run
from daisy.report.wording import task_title
from daisy.tasks.registry import TASKS

FIGURES = {
    "fig2_entropy": (
        "Entropy per layer (the paper's Fig. 2)",
        "What every layer's exit branch says, its mean over each task's training set. An utterance stops at the "
        "first candidate layer where its own is not above the task's threshold.",
    ),
    "fig3_tradeoff": (
        "Result against speed (the paper's Fig. 3)",
        "Every evaluated cell. Vertical lines are 95% confidence intervals by bootstrap over test utterances. "
        "Speed is measured one recording at a time, interleaved with the full model.",
    ),
}

AT_WORK = {
    "method_at_work": (
        "The noisier the recording, the later it stops",
        "One test recording, clean and with noise. Each layer's exit branch says how unsure it is. The recording stops "
        "at the first candidate layer where that is not above the threshold (the numbers), and the layers behind never "
        "run (faint). Of the noise study's recordings it is the one whose exits are the closest to the means of all.",
    ),
}

VERDICTS = (
    "Each verdict is computed from the tables (tables/claims.csv). A result counts as at least as good if its number "
    "is; one that is worse inside the other's 95% interval, or rests on results no better than nothing, on intervals "
    "that reach there, or on a clock that contradicts itself, cannot be told here."
)

SYNTHETIC = ("asr", "pr")
"""The corpora of synthesised speech among the embedded ones, by the task that they are for."""

IN_BROWSER = "page/index.html"
"""Where `make page` writes a run's model for the browser, from the report's folder."""

MOST_REASONS = 20
"""So many reasons are shown one by one."""


@dataclasses.dataclass(frozen=True)
class Results:
    """All tables of a run."""

    grid: list[GridRow]
    dev: list[DevRow]
    entropy: list[EntropyRow]
    exits: list[ExitRow]
    thresholds: list[ThresholdRow]
    candidates: list[CandidateRow]
    seeds: list[SeedRow]
    published: list[AgainstPublishedRow]
    claims: list[ClaimRow]
    noise: NoiseResults | None = None
    budget: list[BudgetRow] = dataclasses.field(default_factory=list)


def read_results(
    folder: Path, noise_tasks: Sequence[str] = (), *, published: bool = False, budget: bool = False
) -> Results:
    """Read the tables.

    Raises:
        DaisyError: if one is missing or damaged, or the grid is empty.
    """
    grid = read_table(GridRow, folder / "grid.csv")
    if not grid:
        raise DaisyError("the grid is empty", file=folder / "grid.csv", fix="Evaluate a method first")
    return Results(
        grid,
        read_table(DevRow, folder / "dev.csv"),
        read_table(EntropyRow, folder / "entropy.csv"),
        read_table(ExitRow, folder / "exits.csv"),
        read_table(ThresholdRow, folder / "thresholds.csv"),
        read_table(CandidateRow, folder / "candidates.csv"),
        read_table(SeedRow, folder / "seeds.csv"),
        read_table(AgainstPublishedRow, folder / "against_published.csv") if published else [],
        read_table(ClaimRow, folder / "claims.csv"),
        read_noise(folder, noise_tasks) if noise_tasks else None,
        read_table(BudgetRow, folder / "budget.csv") if budget else [],
    )


def read_config(path: Path) -> tuple[dict[str, Any], str]:
    """The resolved config, parsed and as text."""
    text = _text(path, "Run the stage that makes it")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise DaisyError(f"not valid YAML ({problem})", file=path, fix="Delete the file and run again") from None
    if not isinstance(config, dict):
        raise DaisyError("not a YAML mapping", file=path, fix="Delete the file and run again")
    return config, text


def _text(path: Path, fix: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DaisyError("the file does not exist", file=path, fix=fix) from None
    except UnicodeDecodeError as error:
        raise DaisyError(f"not UTF-8 text ({error})", file=path, fix="Delete the file and run again") from None


def inline_figures(folder: Path, figures: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """The figures as data URIs, each with its title and caption."""
    result = []
    for name, (title, caption) in figures.items():
        svg = _text(folder / f"{name}.svg", "Draw the figures first")
        if "<svg" not in svg:
            raise DaisyError("not an SVG", file=folder / f"{name}.svg", fix="Draw the figures again")
        # As an image of its own, a figure shares no ids or styles with the page or with the other figure.
        data = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
        result.append({"title": title, "caption": caption, "data": data})
    return result


def data_section(summaries: Sequence[Path], dropped: Sequence[Path]) -> dict[str, Any]:
    """The recordings that were used, and how many were left out and why."""
    columns = ("corpus", "split", "recordings", "speakers", "minutes", "left_out")
    rows = [[row[name] for name in columns] for path in summaries for row in read_csv(path, columns=columns)]
    tables = [html.table(("Corpus", "Split", "Recordings", "Speakers", "Minutes", "Left out"), rows)]
    if not dropped:
        return html.section("The recordings", "", tables)
    # Reasons that name a file or an error count as one.
    reasons = collections.Counter(
        re.sub("(as|decoded:) .*", r"\1 …", row["reason"])
        for path in dropped
        for row in read_csv(path, columns=("id", "reason"))
    )
    if reasons:
        ranked = [[reason, html.number(str(count))] for reason, count in reasons.most_common(MOST_REASONS)]
        if len(reasons) > MOST_REASONS:
            rest = reasons.total() - sum(count for _, count in reasons.most_common(MOST_REASONS))
            ranked.append(["other reasons", html.number(str(rest))])
        tables.append(html.table(("Left out because", "Recordings"), ranked))
    text = f"{reasons.total()} recordings were left out before the corpora were divided."
    return html.section("The recordings", text, tables)


def notes(config: dict[str, Any], results: Results) -> list[str]:
    """What a reader must know before using the numbers."""
    result = []
    tasks = tasks_of(results.grid)
    own = (config.get("data") or {}).get("corpora") or {}
    shared = {task: TASKS[task].corpus for task in tasks if task in TASKS and not own.get(task)}
    uses = {task: shared.get(task) or task for task in tasks}
    made = [task for task in tasks if uses[task] in SYNTHETIC and not own.get(uses[task])]
    if made:
        others = ", ".join(task_title(task) for task in tasks if task not in made)
        real = f"; those of {others} are recordings of real voices" if others else ""
        result.append(f"The data of {', '.join(map(task_title, made))} are synthetic speech{real}.")
    elif not own:
        result.append("The recordings are of real voices.")
    if len(daisy_of(rows_of(results.grid, tasks[0]))) > 1:
        result.append(
            "Where a claim asks for some DAISY cell, the cell is picked by the test set itself, which favours DAISY."
        )
    if any(row.rule == "midrange" for row in results.thresholds):
        result.append(
            "The midrange rule for thresholds is inferred: the thresholds published with the paper fit it, "
            "but nobody has confirmed it."
        )
    checkpoint = upstream_name(config)
    if "hubert_tiny" in checkpoint:
        result.append(
            "The speech model is the tiny one that comes with this project, and the data are small. The numbers show "
            "how the method behaves here; they are no substitute for the paper's numbers."
        )
    elif checkpoint:
        result.append(f"The speech model is {checkpoint}. The data are not the paper's, so neither are the numbers.")
    return result


def facts(settings: ReportSettings, finished: datetime.datetime) -> dict[str, str]:
    """When and with what the run was made."""
    return {
        "Run": settings.run,
        "Results finished": f"{finished:%Y-%m-%d %H:%M} UTC",
        "Code revision": provenance.revision() or "unknown (no repository)",
        **provenance.versions(),
        "Processor": f"{provenance.processor()} (where this page was made)",
        "Timed on": "1 thread",
    }


def upstream_name(config: dict[str, Any]) -> str:
    """The frozen model's file name; empty if the config names none."""
    upstream = config.get("upstream")
    return Path(str(upstream.get("checkpoint", ""))).name if isinstance(upstream, dict) else ""


def sections(arguments: Any, settings: ReportSettings, results: Results) -> list[dict[str, Any]]:
    """The parts of the page with tables, in their order."""
    examples = example_section(arguments.examples)
    own, others = Run(settings.run, results.grid, results.entropy), [read_run(path) for path in arguments.beside]
    return [
        side_by_side_section(results.grid),
        *([examples] if examples else []),
        grid_section(results.grid, results.exits),
        *([seed_section(results.seeds)] if len({row.seed for row in results.seeds}) > 1 else []),
        *([noise_section(results.noise)] if results.noise else []),
        threshold_section(results.thresholds, results.candidates),
        *([budget_section(results.budget)] if results.budget else []),
        *([published_section(results.published)] if results.published else []),
        *([beside_section(own, others)] if others else []),
        histogram_section(arguments.exits),
        branch_section(arguments.history),
        data_section(arguments.summaries, arguments.dropped),
    ]


def build(arguments: Any, settings: ReportSettings) -> tuple[str, str]:
    """The page and its one sentence, from the files that the command line names."""
    results = read_results(
        arguments.tables, settings.noise_tasks, published=settings.against_published, budget=settings.budget
    )
    figures = FIGURES | (NOISE_FIGURES if results.noise else {}) | (BUDGET_FIGURES if results.budget else {})
    config, config_text = read_config(arguments.config)
    modified = (arguments.tables / "grid.csv").stat().st_mtime
    finished = datetime.datetime.fromtimestamp(modified, datetime.UTC)
    details = {"The whole config": config_text}
    if arguments.card:
        details["The speech model"] = _text(arguments.card, "Leave out --card, or name a file")
    layers = max((row.layer for row in results.entropy), default=0)
    verdict = tally(collections.Counter(row.holds for row in results.claims))
    signal = compared_with(results.thresholds)
    top = inline_figures(arguments.figures, AT_WORK) if settings.at_work else [None]
    page = html.render(
        {
            "title": f"DAISY, run {settings.run}",
            "subtitle": what_was_run(results.grid, layers, upstream_name(config), signal)
            + f" Results of {finished:%Y-%m-%d}.",
            "top": top[0],
            "summary": verdict,
            "counted": counted(results.claims),
            "headline": headline(results.grid, results.dev),
            "headline_note": headline_note(results.grid),
            "verdicts": VERDICTS,
            "groups": grouped(results.claims),
            "notes": notes(config, results),
            "figures": inline_figures(arguments.figures, figures),
            "sections": sections(arguments, settings, results),
            "facts": facts(settings, finished),
            "in_browser": IN_BROWSER if (arguments.out.parent / IN_BROWSER).is_file() else "",
            "details": details,
        }
    )
    return page, verdict


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--figures", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--config", type=Path, required=True, help="the run's resolved config")
    parser.add_argument(
        "--summaries", type=Path, nargs="+", required=True, help="recordings, speakers, minutes per split"
    )
    parser.add_argument("--dropped", type=Path, nargs="*", default=[], help="recordings left out, and why")
    parser.add_argument("--history", type=Path, required=True, help="loss and accuracies of the branches")
    parser.add_argument("--exits", type=Path, nargs="*", default=[], help="exits.json of every training")
    parser.add_argument("--examples", type=Path, nargs="*", default=[], help="<task>/examples.json")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="folders of other runs' tables")
    parser.add_argument("--card", type=Path, help="model card of the frozen model (.md)")
    parser.add_argument("--out", type=Path, required=True, help="output: the page")
    arguments = parser.parse_args(argv)
    page, verdict = build(arguments, stage.settings(ReportSettings, arguments.settings))
    write_text(arguments.out, page)
    print(f"report: {verdict}")


if __name__ == "__main__":
    stage.run(main)
