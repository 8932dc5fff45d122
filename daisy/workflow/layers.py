"""The files that a config is laid together from: each a YAML mapping in which no key stands twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from daisy.errors import DaisyError
from daisy.workflow.several import together


def read_layer(path: Path) -> dict[str, Any]:
    """The mapping of a file.

    Raises:
        DaisyError: if the file is missing, is not YAML, holds no mapping, or has a key twice.
    """
    check_keys([path])
    layer: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return layer


def check_keys(paths: Iterable[Path]) -> None:
    """See whether a key stands twice in one of some files: YAML would take the last one in silence.

    Raises:
        DaisyError: that tells all that do, and the files that are missing or not YAML.
    """
    if faults := [fault for path in paths for fault in _faults(path)]:
        raise together(faults)


def _faults(path: Path) -> Iterator[DaisyError]:
    # The parser in C takes a tenth of the time, where it was built.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=loader)
        if not isinstance(node, yaml.MappingNode):
            yield DaisyError("it holds no mapping", file=path, fix="Write `key: value` lines, or {} for none")
        yield from _twice(node, path)
    except FileNotFoundError:
        yield DaisyError("the config file does not exist", file=path, fix="Correct the path")
    except OSError as error:
        yield DaisyError(f"the config file cannot be read ({error.strerror})", file=path, fix="Correct the path")
    except UnicodeDecodeError:
        yield DaisyError("it is not UTF-8", file=path, fix="Save it as UTF-8")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        yield DaisyError(f"not valid YAML ({problem})", file=where, fix="Correct the file")


def _twice(node: yaml.Node | None, path: Path) -> Iterator[DaisyError]:
    """The keys that stand twice in a mapping, in it or below."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            # `<<` takes over another mapping, and may do so twice.
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and first.setdefault(key.value, line) != line:
                problem = f"the key {key.value} stands twice, first in line {first[key.value]}"
                yield DaisyError(problem, file=f"{path}:{line}", fix="Write it once")
            yield from _twice(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item, path)
