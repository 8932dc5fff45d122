"""What every stage of the pipeline shares: its command line, its settings, and how it fails.

A stage is a module with a `main(argv)` that reads files, writes files and takes its settings as one
JSON object, exactly the config values that it uses (`--settings '{"seed": 1, ...}'`).

An option means the same in every stage. Of models: `--checkpoint` is a frozen HuBERT, whose branches do not count;
`--upstream` a DAISY checkpoint, a HuBERT with branches; `--downstream` a task's model on the states of an upstream,
and `--topline` the one that reads all layers. `--out` is what a stage is there for; what it writes beside is named by
what it is, as in the stages that read it.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from daisy.common.versions import record
from daisy.errors import DaisyError

Settings = TypeVar("Settings")

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    types.NoneType: "null",
    tuple: "a list",
    list: "a list",
    dict: "an object",
}
"""The types of settings, as an error names them."""


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
        DaisyError: if `text` is no JSON object, lacks a field, has one that `kind` does not know, or a value of another
            type than `kind` says.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DaisyError(f"--settings is not valid JSON ({error})", fix="Pass one JSON object") from None
    return build(kind, value)


def text(settings: Any) -> str:
    """Settings, a dataclass, as the JSON object that `settings` parses: every field, in one order."""
    return json.dumps(dataclasses.asdict(settings), sort_keys=True)


def build(kind: type[Settings], value: Any, name: str = "settings") -> Settings:
    """The dataclass `kind` from the values of one JSON object, which errors call `name`; see `settings`."""
    return _build(kind, value, name)


def _build(kind: Any, value: Any, name: str) -> Any:
    """`value` as the annotation `kind` has it: lists become tuples, objects dataclasses, and all else stays as it is.

    Raises:
        DaisyError: if the value, or a part of it, is of another type.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _built(kind, value, name)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_build(parts[0], item, f"{name}[{place}]") for place, item in enumerate(value))
    if origin is list and isinstance(value, list):
        return [_build(parts[0], item, f"{name}[{place}]") for place, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _build(parts[1], item, f"{name}.{key}") for key, item in value.items()}
    for part in parts if origin in (typing.Union, types.UnionType) else ():
        if isinstance(value, dict) and (typing.get_origin(part) is dict or dataclasses.is_dataclass(part)):
            return _build(part, value, name)
    if not _fits(kind, value):
        raise DaisyError(f"{name} is {value!r}, not {_words(kind)}", fix="Correct its value")
    return value


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value that has no parts is a `kind`. A whole number may stand for a number, but no truth value."""
    if kind in (Any, object):
        return True
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return any(_fits(part, value) for part in typing.get_args(kind))
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    return type(value) in ((int, float) if kind is float else (kind,))


def _words(kind: Any) -> str:
    """A type as people say it."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(map(_words, typing.get_args(kind)))
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if dataclasses.is_dataclass(kind):
        return "an object"
    return WORDS[typing.get_origin(kind) or kind]


def _built(kind: Any, value: dict[str, Any], name: str) -> Any:
    """The dataclass `kind` from an object whose keys are its fields."""
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
    return kind(**{key: _build(hints[key], item, f"{name}.{key}") for key, item in value.items()})


def use_threads(count: int) -> None:
    """Let torch use `count` CPU threads. Sums depend on the number, by about 5e-6 in hidden states."""
    import torch

    torch.set_num_threads(max(1, count))


def run(main: Callable[[Sequence[str] | None], None]) -> NoReturn:
    """Run a stage's `main`; a user's error becomes one clear line and exit status 1.

    With ``--record FILE OUTPUT ...`` the versions of the libraries that made the outputs are kept in the file.
    """
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--record", nargs="+", default=[])
    own, rest = known.parse_known_args()
    # torch's half a million objects stay to the end: no collection need look through them, least of all the last ones,
    # which cost a short stage more than many of its computations.
    gc.freeze()
    try:
        main(rest)
        if own.record:
            record(Path(own.record[0]), own.record[1:])
    except DaisyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
