"""A mark for what only people read, so that its wording reruns nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Marked = TypeVar("Marked", bound=Callable[..., object])


def for_people(function: Marked) -> Marked:
    """Mark a function whose value is only ever shown: no digest of code counts it (`daisy.workflow.digests`)."""
    return function
