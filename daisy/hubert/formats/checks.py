"""What can be wrong with a checkpoint of any format, each fault told in one way."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError


def damaged(path: Path, error: Exception) -> DaisyError:
    """The error for a file that cannot be read to its end."""
    return DaisyError(
        f"the checkpoint is damaged or cut short ({' '.join(str(error).split())[:120]})",
        file=path,
        fix="Restore the file from its source",
    )


@contextlib.contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Tell faults of a content, met while a model is made of it, as faults of the file `path`.

    Raises:
        DaisyError: for a weight that is missing, for weights that do not fit the configuration, and for an
            error of the block that names no file.
    """
    try:
        yield
    except KeyError as error:
        raise DaisyError(f"the weight {error} is missing", file=path, fix="Use a complete HuBERT checkpoint") from None
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        problem = " ".join(str(error).split())
        raise DaisyError(
            f"the weights do not fit its configuration: {problem[:200]}", file=path, fix="Use another checkpoint"
        ) from None
    except DaisyError as error:
        raise DaisyError(_printable(error.problem), file=error.file or path, fix=error.fix) from None


def _printable(text: str) -> str:
    """One line of bounded length: names come from the file, which may hold anything."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= 400 else line[:397] + "..."


def json_object(text: str, file: Path, what: str = "") -> dict[str, Any]:
    """The JSON object that `text` stands for.

    Args:
        text: What should be JSON.
        file: Where it was found, for the error.
        what: What it is in a file that holds more, for the error.

    Raises:
        DaisyError: if it stands for none.
    """
    said = f"{what} is " if what else ""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        problem = f"{said}not valid JSON ({error})"
        raise DaisyError(problem, file=file, fix="Restore the file from its source") from None
    if not isinstance(value, dict):
        raise DaisyError(f"{said}not a JSON object", file=file, fix="Restore the file from its source")
    return value
