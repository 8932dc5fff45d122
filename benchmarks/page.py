"""BENCHMARKS.md and its figure, from the tables alone: `python -m benchmarks.page` writes them again.

The tables are kept with the project, so that what was measured on one machine stays when another one is measured.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import hours, table
from benchmarks.forward import OURS
from benchmarks.peers import PACKAGES
from benchmarks.table import Row
from benchmarks.targets import Tables, judged, real_time, times
from daisy.common.files import write_text
from daisy.errors import DaisyError

MEASURED = Path("benchmarks/measured")
FOLDERS = {"cpu": "cpu", "cuda": "gpu"}
"""The folders below it, by device."""

BEFORE = "before the pass was products"
"""In the date of what was measured on a GPU before its pass was built anew."""

PAGE, FIGURE = Path("BENCHMARKS.md"), Path("docs/figures/bench.png")
Column = tuple[str, Callable[[Row], str]]


def text(key: str) -> Callable[[Row], str]:
    """A cell as it is; a dash where there is nothing."""
    return lambda row: "–" if row.get(key) in (None, "") else str(row[key])


def number(key: str, form: str) -> Callable[[Row], str]:
    """A cell's number in a format; a dash where there is none."""
    return lambda row: "–" if row.get(key) is None else format(row[key], form)


def milliseconds(row: Row) -> str:
    """Milliseconds, a tenth where they are few; a dash where nobody knows."""
    value = row.get("ms")
    return "–" if value is None else format(value, ",.0f" if value >= 100 else ".1f")


def faster_than_sound(row: Row) -> str:
    """How many times as fast as real time, if that is what the row is about."""
    return f"{real_time(row):,.0f}×" if row["against"] == "real time" else times(row)


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
    ("ms", milliseconds),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "forward": (
        ("batch", text("batch")),
        ("system", text("system")),
        *((f"over {name}", text(name)) for name in OURS),
        ("ms", milliseconds),
        ("how", text("how")),
        ("difference", number("difference", ".1e")),
        ("compiling, s", number("compile_s", ".0f")),
    ),
    "batches": (*TIMES, ("mean exit", number("mean_exit", ".1f")), ("recordings per exit layer", text("exits"))),
    "dump": (*TIMES, ("labels equal", number("labels_equal", ".2%")), ("memory, MB", number("memory_mb", ",.0f"))),
    "training": (
        *TIMES,
        ("branches", text("branches")),
        ("audio, s", number("seconds", ".0f")),
        ("memory, MB", number("memory_mb", ",.0f")),
        ("by the formula, MB", number("formula_mb", ",.0f")),
    ),
    "downstream": (
        ("task", text("task")),
        *TIMES,
        ("recordings", text("recordings")),
        ("audio, s", number("seconds", ".0f")),
    ),
    "stages": (
        ("stage", text("system")),
        ("against", text("against")),
        ("so many times", faster_than_sound),
        ("ms per batch or step", milliseconds),
        ("audio, min", number("minutes", ".0f")),
    ),
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
    "training": (
        "Training branches",
        "A step of all branches at once against the frozen model's forward pass alone. Memory is what torch held at "
        "most on a GPU, beside what `benchmarks/memory.py` says of it.",
    ),
    "downstream": (
        "Downstream training",
        "A step of MiniSUPERB's models, states in memory. `deterministic` is float32 with kernels that give the same "
        "numbers every time (`compute.deterministic`).",
    ),
    "stages": (
        "The stages, from FLAC to results",
        "What a stage takes longer on many recordings than on few, in one process, so that its start is left out; "
        "every batch has a shape that was not there before, but for `later` steps of branches. `asr` is downstream "
        "training from kept states, against the same step with states in memory: the smaller, the busier the GPU.",
    ),
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
    parser.add_argument("--tables", type=Path, default=MEASURED, help=f"folder of the tables (default: {MEASURED})")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"the page (default: {PAGE})")
    parser.add_argument("--figure", type=Path, default=FIGURE, help=f"the figure (default: {FIGURE})")
    parser.add_argument(
        "--take", type=Path, metavar="FOLDER", help="tables of a GPU to keep in place of those there are"
    )
    given = parser.parse_args(argv)
    if given.take:
        take(given.take, given.tables / FOLDERS["cuda"])
    from benchmarks import figure  # it needs matplotlib, and who only measures does not

    drawn = figure.draw(read_all(given.tables / FOLDERS["cpu"]), given.figure)
    write_text(given.page, page(given.tables, given.figure.as_posix() if drawn else None))


def take(measured: Path, kept: Path) -> None:
    """Keep the tables of `measured`, each with what it was measured on; parts that it lacks stay as they are.

    Raises:
        DaisyError: if it has none.
    """
    machines = table.read(measured, table.MACHINES)
    if not machines:
        raise DaisyError(f"no {table.MACHINES}.csv", file=measured, fix="Name the folder that the benchmark wrote to")
    for machine in machines:
        part = str(machine.pop("part"))
        write_text(kept / f"{part}.csv", (measured / f"{part}.csv").read_text(encoding="utf-8"))
        table.note_machine(kept, part, machine)


def page(folder: Path, figure_name: str | None) -> str:
    """The page, from a folder with those of the devices' tables, and the figure's name if there is one."""
    folders = {device: folder / name for device, name in FOLDERS.items()}
    tables = {device: read_all(place) for device, place in folders.items()}
    text = render(tables, figure_name, table.read(folders["cuda"], table.MACHINES))
    for device, prefix in (("cpu", ""), ("cuda", "On a GPU: ")):
        if tables[device]:
            text += "\n" + section(tables[device], table.read(folders[device], table.MACHINES), prefix)
    return text


def read_all(folder: Path) -> dict[str, list[Row]]:
    """Every part's table that is there."""
    tables = {part: table.read(folder, part) for part in ABOUT}
    return {part: rows for part, rows in tables.items() if rows}


def outdated(machines: Sequence[Row]) -> list[str]:
    """A paragraph on parts that were measured before the pass was what it is now; nothing if there is none."""
    parts = [row["part"] for row in machines if BEFORE in str(row.get("date"))]
    cards = sorted({f"{row['processor']}, {row['date']}" for row in machines if row["part"] in parts})
    if not parts:
        return []
    text = (
        f"These figures of {', '.join(parts)} are from before the pass on a GPU was built anew ({'; '.join(cards)}), "
        "so that a target that they miss tells where the work began. No GPU has measured what there is now: "
        "`bash benchmarks/gpu.sh` does, and replaces them."
    )
    return [*textwrap.wrap(text, 118), ""]


def render(tables: Mapping[str, Tables], figure_name: str | None, machines: Sequence[Row] = ()) -> str:
    """What comes before the tables of each device; `machines` are those of the GPU's tables."""
    lines = [
        "# How fast it is",
        "",
        "`make bench` measures all of this again and writes this page. `make bench BENCH='--only forward,exits'`",
        "measures some parts, `BENCH='--device cuda'` a GPU, and `BENCH=--help` lists the options. What was not",
        "measured again stays as it was, with its machine and day.",
        "",
        "Every ratio is of runs that took turns in one process, in an order that turns with each round, on the same",
        "recordings and weights; one round beforehand warms up. A ratio is the median of the rounds' ratios, with the",
        "least and the greatest in brackets; milliseconds are for information. Where nothing else is said, the weights",
        "are random, of HuBERT Base's shape, and the recordings noise, both from one seed.",
        "",
    ]  # fmt: skip
    if figure_name:
        lines += [f"![Time of a pass relative to DAISY's full forward]({figure_name})", ""]
    for device, title in (("cpu", "Targets"), ("cuda", "Targets on a GPU")):
        verdicts = [item for part in ABOUT for item in judged(tables[device], part, device)]
        if verdicts:
            lines += [f"## {title}", "", "| part | what | target | measured | |", "|---|---|---|---|---|"]
        for target, found, met in verdicts:
            verdict = "met" if met else "**missed**"
            lines.append(f"| {target.part} | {target.what} | {target.wanted} | {found} | {verdict} |")
        lines += ["", *(outdated(machines) if device == "cuda" else [])] if verdicts else []
    if tables["cpu"] and tables["cuda"]:
        lines += ["## CPU and GPU side by side", "", *markdown(SIDES, side_by_side(tables["cpu"], tables["cuda"])), ""]
    needed = hours.table(tables["cuda"].get("stages", ()))
    if needed:
        lines += ["## The whole paper on one GPU", "", *textwrap.wrap(HOURS, 118), "", *needed, ""]
    return "\n".join(lines)


HOURS = (
    "Passes of the frozen model at the scale of `config/paper.yaml`, at the rates that the stages were measured at "
    "(see the last table of this page, and on what) and at those that are wanted. Left out: the start of each job, the "
    "heads of downstream models and the scores, which were not measured on a GPU."
)
SIDES: tuple[Column, ...] = tuple((name, text(name)) for name in ("what", "CPU", "GPU"))
PASSES = [f"{name} {precision}" for name in ("daisy", *PACKAGES, "limit") for precision in ("float32", "bfloat16")]
PASSES[2:2] = [f"daisy {precision} compiled" for precision in ("float32", "bfloat16")]
COMPARED: tuple[tuple[str, str, Mapping[str, object], Callable[[Row], str]], ...] = (
    *(
        (f"full forward of {batch} × 10 s, {name}, ms", "forward", {"batch": batch, "system": name}, milliseconds)
        for batch in (1, 32)
        for name in PASSES
    ),
    ("exit at layer 6 over the full pass", "exits", dict(batch=1, system="exit", against="full", layer=6), times),
    ("checks of `avg`, layer 12", "exits", {"batch": 1, "system": "avg", "layer": 12}, times),
    ("checks of `min-max`, layer 12", "exits", {"batch": 1, "system": "min-max", "layer": 12}, times),
    ("16 mixed recordings over each alone", "batches", {"system": "batch"}, times),
    *(
        (f"step of branches over the frozen forward, {kind}", "training", {"system": f"step {kind}"}, times)
        for kind in ("float32", "bfloat16")
    ),
    *(
        (f"{stage} {kind}, over real time", "stages", {"system": f"{stage} {kind}"}, faster_than_sound)
        for stage in ("dump", "label")
        for kind in ("float32", "bfloat16")
    ),
)  # fmt: skip
"""What stands side by side: in words, its table, the row, and how it is written."""


def side_by_side(cpu: Tables, gpu: Tables) -> list[Row]:
    """A row for everything that either was measured for."""
    found = []
    for what, part, wanted, show in COMPARED:
        cells = {"CPU": cell(cpu, part, wanted, show), "GPU": cell(gpu, part, wanted, show)}
        if set(cells.values()) != {"–"}:
            found.append({"what": what, **cells})
    return found


def cell(tables: Tables, part: str, wanted: Mapping[str, object], show: Callable[[Row], str]) -> str:
    """The first row of a part with these values, as it is shown; a dash if there is none."""
    matches = (row for row in tables.get(part, ()) if all(row.get(key) == value for key, value in wanted.items()))
    row = next(matches, None)
    return "–" if row is None else show(row)


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
