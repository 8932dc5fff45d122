"""Working beside: results are written by a thread while the next ones are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

DEPTH = 2
"""Results that may wait to be written, or be under way."""

Item = TypeVar("Item")


class Beside(Generic[Item]):
    """In its context items are handed to a thread, which works on one after the other, in order.

    When the context ends, with an error or without, what was handed over is done, and nothing runs on.

    Args:
        work: What to do with an item. Its first error is raised by the next `put`, or when the context ends, and
            nothing that came later is worked on.
        depth: Items that may wait or be under way; `put` waits for a place.
    """

    def __init__(self, work: Callable[[Item], object], depth: int = DEPTH) -> None:
        self._work, self._depth = work, depth
        self._waiting: deque[Future[None]] = deque()
        self._failed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="beside")

    def __enter__(self) -> Beside[Item]:
        return self

    def put(self, item: Item) -> None:
        """Hand an item over."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._depth):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._do, item))

    def _do(self, item: Item) -> None:
        if self._failed:
            return
        try:
            self._work(item)
        except BaseException:
            self._failed = True
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if kind is None:
            while self._waiting:
                self._waiting.popleft().result()
