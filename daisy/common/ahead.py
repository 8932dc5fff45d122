"""Reading ahead: what comes next is read by threads while the present is computed.

The order is that of the items whatever the number of threads, and so are the results. Libraries that read audio and
files let go of Python's lock, so that threads are enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result], readers: int, depth: int
) -> Generator[Result, None, None]:
    """Yield `work` of every item, in the items' order.

    Close it (`contextlib.closing`) to stop early: what has not begun is cancelled, and what has is waited for.

    Args:
        items: What to read; there may be no end to them, and they are asked for in the caller's own thread.
        work: Reads one; for `readers` above 0 in a thread of its own. An error surfaces in the place of its item.
        readers: Threads; with none, every item is read when it is asked for.
        depth: Items that may be read, or be under way, beyond the one that is handed on.
    """
    if readers < 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(readers, thread_name_prefix="ahead")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
