"""What every stage of the pipeline shares: its command line, its settings, and how it fails.

A stage is a module with a `main(argv)` that reads files, writes files and takes its settings as one
JSON object, exactly the config values that it uses (`--settings '{"seed": 1, ...}'`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from daisy.errors import DaisyError

Settings = TypeVar("Settings")


def parser(description: str | None, *, settings: bool = True, threads: bool = False) -> argparse.ArgumentParser:
    """An argument parser with the options that stages share."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if settings:
        result.add_argument("--settings", required=True, help="the stage's config values, as one JSON object")
    if threads:
        result.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    return result


def settings(kind: type[Settings], text: str) -> Settings:
    """Parse the JSON object `text` into the dataclass `kind`; nested dataclasses, and tuples of them, are parsed too.

    Raises:
        DaisyError: if `text` is no JSON object, lacks a field, or has one that `kind` does not know.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DaisyError(f"--settings is not valid JSON ({error})", fix="Pass one JSON object") from None
    return build(kind, value)


def build(kind: type[Settings], value: Any) -> Settings:
    """The dataclass `kind` from the values of one JSON object; see `settings`."""
    return _build(kind, value, "settings")


def _build(kind: Any, value: Any, name: str) -> Any:
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        if typing.get_origin(kind) is tuple and isinstance(value, list):
            return tuple(_build(typing.get_args(kind)[0], item, f"{name}.{place}") for place, item in enumerate(value))
        return value
    if not isinstance(value, dict):
        raise DaisyError(f"{name} is {value!r}, not an object", fix="Pass one JSON object")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise DaisyError(f"{name} has the unknown key {unknown[0]!r}", fix=f"Use {', '.join(fields)}")
    required = [
        key
        for key, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [key for key in required if key not in value]
    if missing:
        raise DaisyError(f"{name} lacks the key {missing[0]!r}", fix="Add it")
    hints = typing.get_type_hints(kind)
    built = {key: _build(hints[key], item, f"{name}.{key}") for key, item in value.items()}
    try:
        return kind(**built)
    except ValueError as error:
        raise DaisyError(f"{name}: {error}", fix="Correct the values") from None


def use_threads(count: int) -> None:
    """Let torch use `count` CPU threads. Sums depend on the number, by about 5e-6 in hidden states."""
    import torch

    torch.set_num_threads(max(1, count))


def run(main: Callable[[Sequence[str] | None], None]) -> NoReturn:
    """Run a stage's `main`; a user's error becomes one clear line and exit status 1."""
    try:
        main(None)
    except DaisyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
