"""What the project wants of its speed, and what the tables say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from benchmarks.peers import PACKAGES
from benchmarks.table import Row

Tables = Mapping[str, Sequence[Row]]
Finding = tuple[str, bool]
"""What was measured, in words, and whether it is what was wanted."""


@dataclasses.dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        part: The table that it is about.
        what: What is measured.
        wanted: The target in words.
        judge: From the table's rows; None if they lack what it needs.
        device: Whose tables it is about.
    """

    part: str
    what: str
    wanted: str
    judge: Callable[[Sequence[Row]], Finding | None]
    device: Literal["cpu", "cuda"] = "cpu"


def speed_up(against: str, precision: str, least: float) -> Callable[[Sequence[Row]], Finding | None]:
    """How many times as fast as the fastest peer in a precision `against` is, at batch 1."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        found = [
            row
            for row in rows
            if row["against"] == against
            and row["batch"] == 1
            and row["precision"] == precision
            and row["system"].split()[0] in PACKAGES
        ]
        if not found:
            return None
        fastest = min(found, key=lambda row: row["ratio"])
        return f"{times(fastest)} ({fastest['system']})", fastest["ratio"] >= least

    return judge


def times(row: Row) -> str:
    """A ratio with its spread, where that is known."""
    spread = f" ({row['lowest']:.2f} to {row['highest']:.2f})" if row.get("lowest") is not None else ""
    return f"{row['ratio']:.2f}×{spread}"


def real_time(row: Row) -> float:
    """How many times as fast as real time, of a row whose ratio is of seconds per second of audio."""
    return float(1 / row["ratio"])


def milliseconds(most: float, **wanted: object) -> Callable[[Sequence[Row]], Finding | None]:
    """The time of the row with these values."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        found = [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]
        return (f"{found[0]['ms']:.1f} ms", found[0]["ms"] <= most) if found else None

    return judge


def as_fast(least: float, *systems: str) -> Callable[[Sequence[Row]], Finding | None]:
    """How many times as fast as real time the slowest of some systems is."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        found = [row for row in rows if row["system"] in systems]
        if not found:
            return None
        slowest = max(found, key=lambda row: row["ratio"])
        return f"{real_time(slowest):,.0f}× ({slowest['system']})", real_time(slowest) >= least

    return judge


def over_full(layer: int, most: float, way: str = "") -> Callable[[Sequence[Row]], Finding | None]:
    """A fixed exit against the full pass; both in a `way` of their own, if one is named."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        wanted = f"{way}exit", f"{way}full", layer
        found = [row for row in rows if (row["system"], row["against"], row["layer"]) == wanted]
        return (times(found[0]), found[0]["ratio"] <= most) if found else None

    return judge


def at_most(
    system: str, against: str, most: float, *, deepest: bool = False
) -> Callable[[Sequence[Row]], Finding | None]:
    """The largest ratio of a system whose name starts so, over layers or tasks, or at the deepest layer alone."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        found = [row for row in rows if row["system"].startswith(system) and row["against"].startswith(against)]
        if deepest and found:
            last = max(row["layer"] for row in found)
            found = [row for row in found if row["layer"] == last]
        if not found:
            return None
        worst = max(found, key=lambda row: row["ratio"])
        where = next((f", {key} {worst[key]}" for key in ("layer", "task", "precision") if worst.get(key)), "")
        return f"{times(worst)}{where if len(found) > 1 else ''}", worst["ratio"] <= most

    return judge


def grows(column: str, most: float) -> Callable[[Sequence[Row]], Finding | None]:
    """The largest value of a column at the largest amount of data."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        largest = max(row["units"] for row in rows)
        found = [row for row in rows if row["units"] == largest and row[column] is not None]
        if not found:
            return None
        worst = max(found, key=lambda row: row[column])
        return f"{worst[column]:.2f} ({worst['stage']})", worst[column] <= most

    return judge


def dumping(system: str) -> Callable[[Sequence[Row]], Finding | None]:
    """How many times as fast as fairseq's script."""

    def judge(rows: Sequence[Row]) -> Finding | None:
        found = [row for row in rows if row["system"] == system and row["against"] == "fairseq"]
        if not found:
            return None
        (row,) = found
        return f"{1 / row['ratio']:.2f}× ({1 / row['highest']:.2f} to {1 / row['lowest']:.2f})", row["ratio"] <= 0.5

    return judge


def _bfloat16(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["system"] == "bfloat16"]


def _equal_exits(rows: Sequence[Row]) -> Finding | None:
    least = min(_bfloat16(rows), key=lambda row: row["exits_equal"])
    return f"{least['exits_equal']:.1%} ({least['task']}, {least['strategy']})", least["exits_equal"] >= 0.98


def _entropies(rows: Sequence[Row]) -> Finding | None:
    worst = max(_bfloat16(rows), key=lambda row: row["entropy_max"])
    return f"{worst['entropy_mean']:.2%} on average, {worst['entropy_max']:.2%} at most", worst["entropy_max"] <= 0.02


def _metrics(rows: Sequence[Row]) -> Finding | None:
    inside = [row["inside"] for row in _bfloat16(rows)]
    return f"{sum(inside)} of {len(inside)}", all(inside)


def _published(rows: Sequence[Row]) -> Finding | None:
    found = [row for row in rows if row["system"] == "published"]
    return (times(found[0]), found[0]["ratio"] >= 1) if found else None


def _graph(rows: Sequence[Row]) -> Finding | None:
    share = {row["what"]: row["share"] for row in rows}
    rest = 1 - share["work"]
    return f"{rest:.1%}, of which {share['between']:.1%} between jobs", rest <= 0.2


TARGETS: tuple[Target, ...] = (
    Target(
        "forward",
        "Full forward, float32, over the fastest peer",
        "at least 1.15×",
        speed_up("daisy float32", "float32", 1.15),
    ),
    Target(
        "forward",
        "Full forward, bfloat16, over the fastest float32 peer",
        "at least 3.5×",
        speed_up("daisy bfloat16", "float32", 3.5),
    ),
    Target(
        "forward",
        "Full forward, bfloat16, over the fastest bfloat16 peer",
        "at least 1.3×",
        speed_up("daisy bfloat16", "bfloat16", 1.3),
    ),
    Target("exits", "A fixed exit over front end and layers", "at most 1.07×", at_most("exit", "parts", 1.07)),
    Target("exits", "Checks of `avg`", "at most 1.03×", at_most("avg", "exit", 1.03)),
    Target("exits", "Checks of `min-max`, all layers", "at most 1.06×", at_most("min-max", "exit", 1.06, deepest=True)),
    Target("batches", "A mixed batch over its recordings alone", "at most 1.15×", at_most("batch", "alone", 1.15)),
    Target("batches", "The published batch-level exit over ours", "at least 1×", _published),
    Target("batches", "Padding of batches by length", "at most 1.05×", at_most("padding", "no padding", 1.05)),
    Target("dump", "Frames and labels, float32, over fairseq's script", "at least 2×", dumping("daisy float32")),
    Target("dump", "The same in bfloat16", "at least 2×", dumping("daisy bfloat16")),
    Target(
        "training", "A step of all branches over the frozen forward", "at most 1.15×", at_most("step", "forward", 1.15)
    ),
    Target("grid", "Nine cells and baselines over one full pass", "at most 1.5×", at_most("grid", "full pass", 1.5)),
    Target("growth", "Seconds per unit of data added", "1, at most 1.15", grows("added", 1.15)),
    Target("growth", "Memory, over the smallest amount of data", "1, at most 1.15", grows("memory", 1.15)),
    Target("agreement", "Exits in bfloat16 that equal float32's", "at least 98%", _equal_exits),
    Target("agreement", "Entropies in bfloat16 off float32's", "at most 2%", _entropies),
    Target("agreement", "Metrics in bfloat16 inside float32's interval", "all", _metrics),
    Target("graph", "Snakemake, starting Python and waiting cores in a run", "at most 20%", _graph),
)


ON_GPU = (
    ("forward", "Full forward of 32 × 10 s, bfloat16", 18.0, {"batch": 32, "system": "daisy bfloat16"}),
    ("forward", "Full forward of 10 s, bfloat16", 2.5, {"batch": 1, "system": "daisy bfloat16"}),
    ("forward", "The same by `model.compile()`", 2.5, {"batch": 1, "system": "daisy bfloat16 compiled"}),
    ("batches", "A mixed batch of 16, own exits, bfloat16", 10.0, {"system": "batch, bfloat16"}),
    ("stages", "A step of branches, 160 s, bfloat16, new shapes", 15.0, {"system": "branches bfloat16, first epoch"}),
    ("stages", "The same with known shapes", 12.0, {"system": "branches bfloat16, later"}),
    ("stages", "A step of branches, 160 s, float32, new shapes", 60.0, {"system": "branches float32, first epoch"}),
)  # fmt: skip
TARGETS += (
    *(
        Target(part, what, f"at most {most:g} ms", milliseconds(most, **row), "cuda")
        for part, what, most, row in ON_GPU
    ),
    Target("exits", "An exit at layer 6 over the full pass, batch 1", "at most 0.55×", over_full(6, 0.55), "cuda"),
    Target("exits", "The same by `model.compile()`", "at most 0.55×", over_full(6, 0.55, "compiled "), "cuda"),
    Target(
        "exits",
        "Checks of `min-max`, all layers, batch 1",
        "at most 1.10×",
        lambda rows: at_most("min-max", "exit", 1.1, deepest=True)([row for row in rows if row["batch"] == 1]),
        "cuda",
    ),
    Target(
        "exits",
        "The same by `model.compile()`",
        "at most 1.10×",
        at_most("compiled min-max", "compiled exit", 1.1, deepest=True),
        "cuda",
    ),
    Target(
        "stages",
        "`label` and `dump`, bfloat16, over real time",
        "at least 9,000×",
        as_fast(9000, "label bfloat16", "dump bfloat16"),
        "cuda",
    ),
    Target(
        "stages",
        "A step of speech recognition from kept states over one from memory",
        "at most 1.43×, where the GPU is busy 70% of the time",
        at_most("asr", "step in memory", 1 / 0.7),
        "cuda",
    ),
    Target(
        "stages",
        "`daisy extract`, last state, float32",
        "at least 2,200×",
        as_fast(2200, "extract last float32"),
        "cuda",
    ),
    Target(
        "stages",
        "`daisy extract`, all states, float32",
        "at least 1,200×",
        as_fast(1200, "extract all float32"),
        "cuda",
    ),
)
"""What is wanted of an H100 or H200 with 8 cores or more."""


def judged(tables: Tables, part: str, device: str = "cpu") -> list[tuple[Target, str, bool]]:
    """The targets of a part that its table can judge: each with what was measured, and whether it is met."""
    found = []
    for target in TARGETS:
        if target.device != device:
            continue
        finding = target.judge(tables[part]) if target.part == part and tables.get(part) else None
        if finding:
            found.append((target, *finding))
    return found
