"""Read what evaluations and calibrations wrote, as the rows of tables; a file that is damaged is named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from daisy.common.columns import typed
from daisy.common.files import read_json
from daisy.errors import DaisyError
from daisy.evaluation.rows import CandidateRow, DevRow, EntropyRow, ExitRow, GridRow, SeedRow, ThresholdRow
from daisy.exits.cell import GridCell
from daisy.exits.method import DAISY, TASK_EXITS, Method
from daisy.exits.signals import ENTROPY


def _read(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DaisyError("not a JSON object", file=path, fix="Delete the file and run again")
    missing = [key for key in keys if key not in value]
    if missing:
        raise DaisyError(f"{missing[0]!r} is missing", file=path, fix="Delete the file and run again")
    return value


def _items(value: dict[str, Any], key: str, kind: type, path: Path) -> list[Any]:
    items = value[key]
    if not isinstance(items, list) or not items or any(type(item) is not kind for item in items):
        raise DaisyError(
            f"{key!r} is not a filled list of {kind.__name__}", file=path, fix="Delete the file and run again"
        )
    return items


def _once(keys: Iterable[tuple[Hashable, ...]], paths: Sequence[Path]) -> None:
    """Refuse a cell that occurs twice: two files of one method would count it double."""
    seen: set[Hashable] = set()
    for key in keys:
        if key in seen:
            raise DaisyError(
                f"{', '.join(map(str, key))} occurs twice", file=paths[0].parent, fix="Give every file once"
            )
        seen.add(key)


MEANS = ("value", "ci_low", "ci_high", "mean_exit_layer", "macs_per_second", "rtf", "speedup_vs_full")
"""The columns that are means over seeds of training."""

Measured = TypeVar("Measured", GridRow, DevRow)


def trained_rows(paths: Sequence[Path], part: str, kind: type[Measured]) -> list[tuple[int, Measured]]:
    """The rows of all evaluations, each with its model's seed: by task, then full, fixed layers, DAISY, then seed.

    Args:
        paths: A file per task, method and seed.
        part: What the rows are called there: ``rows`` of the test set, or ``dev``.
        kind: What a row is.

    Raises:
        DaisyError: if a file is damaged, or a cell occurs twice.
    """
    rows = []
    for path in paths:
        for item in _items(_read(path, ("task", "method", "rho", part)), part, dict, path):
            if type(item.get("seed")) is not int:
                raise DaisyError("a row has no seed", file=path, fix="Delete the file and run again")
            rows.append((item["seed"], typed(kind, item, path)))
    _once(((row.task, row.cell, row.metric, f"seed {seed}") for seed, row in rows), paths)
    return sorted(rows, key=lambda pair: (pair[1].task, *pair[1].cell.key))


def seed_row(seed: int, row: GridRow) -> SeedRow:
    """What ``seeds.csv`` says of a row of the grid before means are taken."""
    return SeedRow(row.task, row.method, row.rho, row.strategy, row.metric, seed, row.value, row.speedup_vs_full)


def mean_rows(trained: Sequence[tuple[int, Measured]]) -> list[Measured]:
    """A row per cell and metric, with means over the seeds that its model was trained with.

    Confidence intervals are of the utterances; their ends are means over seeds too.
    """
    cells: dict[tuple[str, GridCell, str], list[Measured]] = {}
    for _, row in trained:
        cells.setdefault((row.task, row.cell, row.metric), []).append(row)
    rows = []
    for same in cells.values():
        means: dict[str, Any] = {
            name: math.fsum(getattr(row, name) for row in same) / len(same) for name in MEANS if hasattr(same[0], name)
        }
        rows.append(dataclasses.replace(same[0], **means))
    return rows


LEARNT = ("task-ee", "oracle")
"""Kinds of methods whose exits depend on what was trained, and so on the seed; DAISY's follow from entropies of the
branches alone."""

Row = TypeVar("Row", ExitRow, CandidateRow, ThresholdRow)


def _of_all_seeds(rows: Iterable[tuple[Path, Row]]) -> list[Row]:
    """Each row once; of cells whose exits are learnt, those of the file that comes first, which is the first seed's."""
    first: dict[tuple[str, GridCell], Path] = {}
    kept: dict[Row, None] = {}
    for path, row in rows:
        if row.cell.method.kind not in LEARNT or first.setdefault((row.task, row.cell), path) == path:
            kept[row] = None
    return list(kept)


def exit_rows(paths: Sequence[Path]) -> list[ExitRow]:
    """How many test utterances of every cell stopped at every layer, in the grid's order."""
    found = []
    for path in paths:
        value = _read(path, ("task", "method", "rho", "exits"))
        for item in _items(value, "exits", dict, path):
            if "counts" not in item:
                raise DaisyError("'counts' is missing", file=path, fix="Delete the file and run again")
            for layer, count in enumerate(_items(item, "counts", int, path), start=1):
                found.append((path, typed(ExitRow, {**value, **item, "layer": layer, "count": count}, path)))
    # Where all seeds of a cell have the same, one that differs is a second row.
    rows = _of_all_seeds(found)
    _once(((row.task, row.cell, f"layer {row.layer}") for row in rows), paths)
    return sorted(rows, key=lambda row: (row.task, *row.cell.key, row.layer))


def candidate_rows(paths: Sequence[Path]) -> list[CandidateRow]:
    """The candidate layers of every cell that exits by entropies, in the grid's order."""
    found = []
    for path, item in _adaptive(paths):
        layers = _items({"candidates": None, **item}, "candidates", int, path)
        found.append((path, typed(CandidateRow, {**item, "candidates": " ".join(map(str, layers))}, path)))
    return sorted(_of_all_seeds(found), key=lambda row: (row.task, *row.cell.key))


def own_thresholds(paths: Sequence[Path]) -> list[ThresholdRow]:
    """The thresholds of the tasks' own exits, which follow from their training."""
    own = ((path, item) for path, item in _adaptive(paths) if item["method"] == TASK_EXITS.row)
    more = {"rule": "midrange", "signal": ENTROPY}
    return _of_all_seeds((path, typed(ThresholdRow, {**item, **more}, path)) for path, item in own)


def _adaptive(paths: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The rows of evaluations that are about exits by entropies, each with its file."""
    for path in paths:
        value = _read(path, ("method", "rows"))
        if Method.parse(value["method"]).adaptive:
            rows = _items(value, "rows", dict, path)
            yield from ((path, row) for row in rows if Method.parse(row["method"]).adaptive)


def calibration_rows(paths: Sequence[Path]) -> tuple[list[EntropyRow], list[ThresholdRow]]:
    """Mean entropy per task and layer, and every threshold of DAISY.

    Raises:
        DaisyError: if a file is damaged, or two files of a task disagree about its entropies.
    """
    entropies: dict[str, list[EntropyRow]] = {}
    thresholds = []
    for path in paths:
        value = _read(path, ("task", "mean_entropy"))
        means = _items(value, "mean_entropy", float, path)
        rows = [
            typed(EntropyRow, {"task": value["task"], "layer": layer, "mean_entropy": mean}, path)
            for layer, mean in enumerate(means, start=1)
        ]
        if entropies.setdefault(value["task"], rows) != rows:
            raise DaisyError(
                f"its mean entropies differ from those of another file of the task {value['task']}",
                file=path,
                fix="Run the calibration of this task again",
            )
        thresholds.append(typed(ThresholdRow, {"method": DAISY.row, "signal": ENTROPY, **value}, path))
    _once(((row.task, row.rho) for row in thresholds), paths)
    return [row for task in sorted(entropies) for row in entropies[task]], thresholds
