"""The one error that users see: what is wrong, in which file, and what to do about it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any


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
