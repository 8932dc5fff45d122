"""Work shared out over processes that see what this one holds in memory, and hand their results back."""

from __future__ import annotations

import functools
import multiprocessing
import sys
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

from daisy.errors import DaisyError

Item = TypeVar("Item")
Result = TypeVar("Result")


def forked(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> list[Result]:
    """`work` of every item, in the items' order.

    Args:
        work: What to do; its results are sent from process to process.
        items: For what; neighbours go to different processes.
        processes: How many at most. With one, or where forking is not safe, nothing is forked; each of several computes
            on one core, and must not use a GPU.

    Raises:
        DaisyError: if a process was killed. What `work` raises goes through.
    """
    count = min(processes, len(items))
    if count < 2 or sys.platform != "linux":
        return [work(item) for item in items]
    fork = multiprocessing.get_context("fork")
    started = []
    _threads()  # looked for once, and not in every process
    try:
        for rank in range(count):
            receiver, sender = fork.Pipe(duplex=False)
            process = fork.Process(target=_share, args=(work, items[rank::count], sender), daemon=True)
            with warnings.catch_warnings():  # newer Pythons warn of threads, which the new process does without
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            started.append((process, receiver))
            sender.close()
        results: list[Any] = [None] * len(items)
        for rank, (process, receiver) in enumerate(started):
            results[rank::count] = _received(process, receiver)
        return results
    finally:
        for process, receiver in started:
            receiver.close()
            process.terminate()
            process.join()


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _share(work: Callable[[Any], Any], items: Sequence[Any], sender: Connection) -> None:
    # The threads of the process that was forked from are not in this one: neither torch's nor numpy's.
    torch.set_num_threads(1)
    with _threads().limit(limits=1):
        try:
            sender.send((True, [work(item) for item in items]))
        except Exception as error:
            sender.send((False, error))


def _received(process: Any, receiver: Connection) -> list[Any]:
    try:
        done, value = receiver.recv()
    except EOFError:
        process.join()
        raise DaisyError(
            f"one of several processes ended early, with status {process.exitcode}",
            fix="If memory ran out (status -9), give the job fewer cores or more memory",
        ) from None
    if not done:
        raise value
    return list(value)
