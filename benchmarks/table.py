"""The tables: one CSV per part, and `machines.csv`, which says what each was measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.common.files import read_csv, write_csv

MACHINES = "machines"
"""The table of what each part was measured on."""

Row = dict[str, Any]


def write(folder: Path, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a part's table; numbers keep six digits."""
    plain = [{key: _text(row.get(key)) for key in columns} for row in rows]
    write_csv(folder / f"{name}.csv", columns, plain)


def read(folder: Path, name: str) -> list[Row]:
    """A part's table, numbers as numbers and empty cells as None; no row if the part was not measured."""
    path = folder / f"{name}.csv"
    return [{key: _value(text) for key, text in row.items()} for row in read_csv(path)] if path.exists() else []


def note_machine(folder: Path, part: str, machine: Mapping[str, Any]) -> None:
    """Say what a part was measured on, in place of what was said of it before."""
    row = {"part": part, **machine}
    rows = [*(known for known in read(folder, MACHINES) if known["part"] != part), row]
    write(folder, MACHINES, list(dict.fromkeys(key for known in rows for key in known)), rows)


def line(row: Mapping[str, Any]) -> str:
    """A row for the terminal."""
    return ", ".join(f"{key} {_short(value)}" for key, value in row.items() if value not in (None, ""))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text or None
