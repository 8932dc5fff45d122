"""BENCHMARKS.md and its figure, from the tables alone: `python -m benchmarks.page` writes them again."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import figure, table
from benchmarks.forward import OURS
from benchmarks.peers import PACKAGES
from benchmarks.table import Row
from benchmarks.targets import Tables, judged, times
from daisy.common.files import write_text

TABLES = Path("results/bench")
GPU = "gpu"
"""The folder below it for what was measured on a GPU."""

PAGE, FIGURE = Path("BENCHMARKS.md"), Path("docs/figures/bench.png")
Column = tuple[str, Callable[[Row], str]]


def text(key: str) -> Callable[[Row], str]:
    """A cell as it is; a dash where there is nothing."""
    return lambda row: "–" if row.get(key) in (None, "") else str(row[key])


def number(key: str, form: str) -> Callable[[Row], str]:
    """A cell's number in a format; a dash where there is none."""
    return lambda row: "–" if row.get(key) is None else format(row[key], form)


def by_yardstick(rows: Sequence[Row]) -> list[Row]:
    """Of the part `forward` one row per system, with a column for each of our own passes."""
    found: dict[tuple[int, str], Row] = {}
    for row in rows:
        found.setdefault((row["batch"], row["system"]), dict(row))[row["against"]] = times(row)
    return list(found.values())


def by_layer(rows: Sequence[Row]) -> list[Row]:
    """Of the part `exits` one row per comparison, with a column for each layer."""
    found: dict[tuple[int, str, str], Row] = {}
    for row in rows:
        key = row["batch"], row["system"], row["against"]
        kept = found.setdefault(key, dict(zip(("batch", "system", "against"), key, strict=True)))
        kept[f"layer {row['layer']}" if row["layer"] else "any layer"] = times(row)
    return list(found.values())


def layer_columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns of the part `exits`, by the layers that it has."""
    layers = [f"layer {layer}" for layer in sorted({row["layer"] for row in rows} - {0})]
    return tuple((name, text(name)) for name in ("batch", "system", "against", "any layer", *layers))


TIMES: tuple[Column, ...] = (
    ("system", text("system")),
    ("against", text("against")),
    ("time, relative (range)", times),
    ("ms", number("ms", ",.0f")),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "forward": (
        ("batch", text("batch")),
        ("system", text("system")),
        *((f"over {name}", text(name)) for name in OURS),
        ("ms", number("ms", ",.0f")),
        ("how", text("how")),
        ("difference", number("difference", ".1e")),
        ("compiling, s", number("compile_s", ".0f")),
    ),
    "batches": (*TIMES, ("mean exit", number("mean_exit", ".1f")), ("recordings per exit layer", text("exits"))),
    "dump": (*TIMES, ("labels equal", number("labels_equal", ".2%")), ("memory, MB", number("memory_mb", ",.0f"))),
    "training": (*TIMES, ("branches", text("branches")), ("audio, s", number("seconds", ".0f"))),
    "grid": (("task", text("task")), *TIMES, ("cells", text("cells")), ("audio, s", number("seconds", ".0f"))),
    "growth": (
        ("stage", text("stage")),
        ("data", lambda row: f"{row['units']}×"),
        ("audio, min", number("minutes", ".1f")),
        ("s", number("seconds", ".1f")),
        ("per unit, relative", number("per_unit", ".2f")),
        ("per unit added, relative", number("added", ".2f")),
        ("memory, MB", number("memory_mb", ",.0f")),
        ("relative", number("memory", ".2f")),
    ),
    "agreement": (
        *((key, text(key)) for key in ("task", "rho", "strategy", "system", "recordings")),
        ("exits equal", number("exits_equal", ".1%")),
        ("entropies off, mean", number("entropy_mean", ".2%")),
        ("most", number("entropy_max", ".2%")),
        ("metric", text("metric")),
        ("value (95%)", lambda row: f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"),
    ),
    "graph": (
        ("where the cores' time went", text("what")),
        ("s", number("seconds", ",.0f")),
        ("share", number("share", ".1%")),
        ("jobs", text("jobs")),
    ),
}
ABOUT = {
    "forward": (
        "One full forward pass",
        "The same recording through the whole model, by implementations with the same weights; `difference` is "
        "how far the last layer's output is from ours in float32. Of a peer's two ways in bfloat16, weights in "
        "that format or autocast, the faster one is shown. `limit` is no run: the pass's operations, counted as "
        "plain convolutions and products, at the rate of the best plain matrix product in the same round; what "
        "saves operations can go below.",
    ),
    "exits": (
        "Early exit",
        "A fixed exit (`exit`) against front end and layers timed apart (`parts`), against the last layer's "
        "(`full`), and the checks of `avg` (two candidates) and `min-max` (all layers up to the exit) against it,"
        " none of them sure enough. `bound` is the exit from parts timed apart, `front end` what remains however "
        "early a recording stops. `published` is the published code's way on torchaudio's HuBERT, with the "
        "candidates of `min-max`.",
    ),
    "batches": (
        "Mixed batches",
        "Recordings of different lengths, loudness and spectra in one batch, each with its own exit, against one "
        "call for each; and the published code's way, in which a padded batch has one exit, at the first layer "
        "within its reach that is not before our mean exit. Branches are random. Padding is counted, not timed.",
    ),
    "dump": (
        "Frames and labels",
        "A layer's frames and their nearest centroids, in batches by length, against fairseq's scripts: one "
        "recording at a time. Memory is what the process held at most above what it held before.",
    ),
    "training": ("Training branches", "A step of all branches at once against the frozen model's forward pass alone."),
    "grid": (
        "The evaluation grid",
        "A task's nine cells and both baselines from shared features, against one pass of the full model with its"
        " scores and intervals. Weights are random. Starting Python is not in it, nor an evaluation's own "
        "measurement of speed, which runs the real model on a sample and is there to take time.",
    ),
    "growth": (
        "More data",
        "The stages as the pipeline starts them, with the embedded model, on synthetic recordings. Cost is linear"
        " if what a unit adds stays 1; the start makes a unit cheaper the more there are.",
    ),
    "agreement": (
        "What other precisions change",
        "On real test recordings of a finished run, with its branches, thresholds and downstream models, at its "
        "largest scale of the threshold. Differences are relative, of all layers' entropies but the last one's.",
    ),
    "graph": (
        "What the graph costs",
        "All cores' time in a finished run, from the first job to the last: `work` in its jobs; `starting` Python and "
        "all imports of each; `between` jobs, when Snakemake chose the next or a core had to wait for another's; and "
        "what `snakemake` takes with nothing to do. All but `work` is an upper bound on what the graph costs.",
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, default=TABLES, help=f"folder of the tables (default: {TABLES})")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"the page (default: {PAGE})")
    parser.add_argument("--figure", type=Path, default=FIGURE, help=f"the figure (default: {FIGURE})")
    given = parser.parse_args(argv)
    tables = read_all(given.tables)
    drawn = figure.draw(tables, given.figure)
    name = given.figure.as_posix() if drawn else None
    text = render(tables, table.read(given.tables, table.MACHINES), name)
    if (given.tables / GPU).exists():
        folder = given.tables / GPU
        text += "\n" + section(read_all(folder), table.read(folder, table.MACHINES), "On a GPU: ")
    write_text(given.page, text)


def read_all(folder: Path) -> dict[str, list[Row]]:
    """Every part's table that is there."""
    tables = {part: table.read(folder, part) for part in ABOUT}
    return {part: rows for part, rows in tables.items() if rows}


def render(tables: Tables, machines: Sequence[Row], figure_name: str | None) -> str:
    """The page."""
    lines = [
        "# How fast it is",
        "",
        "`make bench` measures all of this again and writes this page. `make bench BENCH='--only forward,exits'`",
        "measures some parts, `BENCH='--device cuda'` a GPU, and `BENCH=--help` lists the options.",
        "",
        "Every ratio is of runs that took turns in one process, in an order that turns with each round, on the same",
        "recordings and weights; one round beforehand warms up. A ratio is the median of the rounds' ratios, with the",
        "least and the greatest in brackets; milliseconds are for information. Where nothing else is said, the weights",
        "are random, of HuBERT Base's shape, and the recordings noise, both from one seed.",
        "",
    ]  # fmt: skip
    if figure_name:
        lines += [f"![Time of a pass relative to DAISY's full forward]({figure_name})", ""]
    verdicts = [item for part in ABOUT for item in judged(tables, part)]
    if verdicts:
        lines += ["## Targets", "", "| part | what | target | measured | |", "|---|---|---|---|---|"]
        for target, found, met in verdicts:
            verdict = "met" if met else "**missed**"
            lines.append(f"| {target.part} | {target.what} | {target.wanted} | {found} | {verdict} |")
        lines.append("")
    return "\n".join(lines) + "\n" + section(tables, machines)


def section(tables: Tables, machines: Sequence[Row], prefix: str = "") -> str:
    """Machine and tables of one device."""
    lines = [f"## {prefix}{'the' if prefix else 'The'} machine", "", *machine_lines(machines), ""]
    lines += [*missing_lines(tables, all_parts=not prefix)]
    for part, rows in tables.items():
        title, about = ABOUT[part]
        lines += [
            f"## {prefix}{title[0].lower() if prefix else title[0]}{title[1:]}",
            "",
            *textwrap.wrap(about, 118),
            "",
            *part_table(part, rows),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def part_table(part: str, rows: Sequence[Row]) -> list[str]:
    """A part's table, turned where that is shorter."""
    if part == "exits":
        return markdown(layer_columns(rows), by_layer(rows))
    return markdown(COLUMNS[part], by_yardstick(rows) if part == "forward" else rows)


def machine_lines(machines: Sequence[Row]) -> list[str]:
    """What the parts were measured on, parts of one machine together."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for row in machines:
        values = tuple((key, "–" if value is None else str(value)) for key, value in row.items() if key != "part")
        groups.setdefault(values, []).append(row["part"])
    lines: list[str] = []
    for values, parts in groups.items():
        if not lines:
            lines = [f"| parts | {' | '.join(key for key, _ in values)} |", "|---" * (len(values) + 1) + "|"]
        lines.append(f"| {', '.join(parts)} | {' | '.join(value for _, value in values)} |")
    return lines


def missing_lines(tables: Tables, *, all_parts: bool) -> list[str]:
    """Parts and peers that were not measured."""
    lacking = [part for part in ABOUT if part not in tables] if all_parts else []
    lines = [f"Not measured: {', '.join(lacking)}.", ""] if lacking else []
    if "forward" in tables:
        names = {row["system"].split()[0] for row in tables["forward"]}
        absent = [name for name in PACKAGES if name not in names]
        lines += [f"Not installed, and so not measured: {', '.join(absent)}.", ""] if absent else []
    return lines


def markdown(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """A table; columns that are empty in every row are left out."""
    cells = [[show(row) for row in rows] for _, show in columns]
    kept = [number for number, column in enumerate(cells) if set(column) != {"–"}]
    lines = ["| " + " | ".join(columns[number][0] for number in kept) + " |", "|---" * len(kept) + "|"]
    return lines + ["| " + " | ".join(cells[number][place] for number in kept) + " |" for place in range(len(rows))]


if __name__ == "__main__":
    main()
