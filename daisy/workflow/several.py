"""All that is wrong, told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from daisy.errors import DaisyError

Result = TypeVar("Result")


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
