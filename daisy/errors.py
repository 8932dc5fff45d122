"""The one error that users see: what is wrong, in which file, and what to do about it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


class DaisyError(Exception):
    """A problem that the user can mend.

    Args:
        problem: What is wrong, with the offending value.
        fix: What to do about it, as an imperative sentence.
        file: The file in which it was found.
    """

    def __init__(self, problem: str, *, fix: str, file: str | Path | None = None) -> None:
        self.problem, self.fix, self.file = problem, fix, file
        where = f"{file}: " if file is not None else ""
        end = "" if fix.endswith("?") else "."
        super().__init__(f"{where}{problem.rstrip('.')}. {fix.rstrip('.')}{end}")

    def __reduce__(self) -> tuple[Any, ...]:
        """How it travels from process to process."""
        return functools.partial(type(self), self.problem, fix=self.fix, file=self.file), ()


class WriteError(DaisyError):
    """Something could not be written: no fault of what was read."""


class Several(DaisyError):
    """Problems that are told at once, each with its fix.

    Args:
        errors: At least two.
    """

    def __init__(self, errors: Sequence[DaisyError]) -> None:
        self.errors = tuple(errors)
        super().__init__(f"{len(errors)} things are wrong", fix="Mend all of them")
        self.args = ("\n  - ".join([f"{self.problem}:", *map(str, errors)]),)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it travels from process to process."""
        return type(self), (self.errors,)


def together(errors: Sequence[DaisyError]) -> DaisyError:
    """One error that tells all of `errors`, of which there is one at least."""
    told = [one for error in errors for one in (error.errors if isinstance(error, Several) else (error,))]
    return told[0] if len(told) == 1 else Several(told)


def tried(*attempts: Callable[[], Result]) -> list[Result]:
    """What `attempts` give.

    Raises:
        DaisyError: that tells the errors of all of them, if there are any.
    """
    results, errors = [], []
    for attempt in attempts:
        try:
            results.append(attempt())
        except DaisyError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    return results
