"""Typed reading and writing of tables: a table is a dataclass whose fields are its columns, in order.

Null is an empty cell, and booleans are ``true`` and ``false``.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from daisy.common.files import read_csv, write_csv
from daisy.errors import DaisyError

Table = TypeVar("Table")


def typed(kind: type[Table], values: Mapping[str, Any], file: str | Path) -> Table:
    """Build a row of `kind` from JSON values.

    Raises:
        DaisyError: if a column is missing, or its value is of another type or not finite.
    """
    result = {}
    for name, hint in typing.get_type_hints(kind).items():
        if name not in values:
            raise DaisyError(f"{name!r} is missing", file=file, fix="Delete the file and run again")
        result[name] = _checked(values[name], hint, name, file)
    return kind(**result)


def _checked(value: Any, hint: Any, name: str, file: str | Path) -> Any:
    optional = isinstance(hint, types.UnionType)
    wanted = typing.get_args(hint)[0] if optional else hint
    if value is None and optional:
        return None
    if wanted is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if wanted is not float and type(value) is wanted:
        return value
    raise DaisyError(f"{name!r} is {value!r}, not {wanted.__name__}", file=file, fix="Delete the file and run again")


def _parsed(text: str | None, hint: Any) -> Any:
    """The JSON value of a cell; a cell that does not fit is left as text, for `typed` to refuse."""
    wanted = typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint
    if not text:
        return None
    if wanted is bool:
        return {"true": True, "false": False}.get(text, text)
    try:
        return text if wanted is str else wanted(text)
    except ValueError:
        return text


def read_table(kind: type[Table], path: Path) -> list[Table]:
    """Read a table.

    Raises:
        DaisyError: if the file is missing, lacks a column or has a cell of another type.
    """
    hints = typing.get_type_hints(kind)
    return [
        typed(kind, {name: _parsed(row[name], hint) for name, hint in hints.items()}, path)
        for row in read_csv(path, columns=tuple(hints))
    ]


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def write_table(kind: type[Table], path: Path, rows: Iterable[Table]) -> None:
    """Write a table, atomically."""
    names = tuple(typing.get_type_hints(kind))
    write_csv(path, names, ({name: _cell(getattr(row, name)) for name in names} for row in rows))
