"""Items read when they are asked for: a split's audio need not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

KEPT_SECONDS = 2 * 3600
"""A split with no more audio than this stays in memory: under half a gigabyte per signal of a mixture."""


class Cached(Sequence[Any]):
    """A sequence whose items are read on demand.

    Args:
        read: Gives the item of an index.
        count: How many items there are.
        keep: Whether an item stays in memory once it is read.
    """

    def __init__(self, read: Callable[[int], Any], count: int, *, keep: bool) -> None:
        self._read, self._count, self._keep = read, count, keep
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index in self._kept:
            return self._kept[index]
        item = self._read(index)
        if self._keep:
            self._kept[index] = item
        return item
