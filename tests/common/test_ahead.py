"""Reading ahead and writing beside: order, bounds, errors in their place, and no thread that is left behind."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time

import pytest
import torch

from daisy.common.ahead import ahead
from daisy.common.beside import Beside
from daisy.common.transfer import CPU, Fetched, Sent, buffer, located, reading
from daisy.errors import DaisyError

PACES = [(0, 0), (1, 0), (1, 1), (1, 3), (2, 1), (3, 5), (8, 8)]
"""Readers, and how far ahead."""


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("pace", PACES)
def test_results_come_in_the_order_of_the_items(pace):
    waits = [random.random() / 500 for _ in range(40)]

    def work(item: int) -> int:
        time.sleep(waits[item])
        return item * item

    assert list(ahead(range(40), work, *pace)) == [item * item for item in range(40)]
    assert list(ahead([], work, *pace)) == []


@pytest.mark.parametrize("pace", PACES)
def test_no_more_is_read_than_the_bound(pace):
    """Of items without end, at most `depth` beyond the one that is handed on."""
    begun: list[int] = []
    with contextlib.closing(ahead(itertools.count(), lambda item: (begun.append(item), item)[1], *pace)) as found:
        for taken in itertools.islice(found, 10):
            time.sleep(0.002)
            assert taken in begun and max(begun) <= taken + pace[1]
    assert len(begun) <= 10 + pace[1]


@pytest.mark.parametrize("pace", PACES)
def test_an_error_surfaces_in_its_place(pace):
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 4:
            raise DaisyError("the recording does not exist", file="e.flac", fix="Restore it")
        return item

    found = []
    with pytest.raises(DaisyError, match=r"e\.flac: the recording does not exist"):
        for item in ahead(range(100), work, *pace):
            found.append(item)
    assert found == [0, 1, 2, 3] and len(begun) <= 5 + pace[1]


@pytest.mark.parametrize("pace", PACES[1:])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_who_stops_early_waits_for_what_is_under_way(pace, error):
    under_way, ended = [], []

    def work(item: int) -> int:
        under_way.append(item)
        time.sleep(0.005)
        ended.append(item)
        return item

    with pytest.raises(error), contextlib.closing(ahead(itertools.count(), work, *pace)) as found:
        next(found)
        raise error
    count = len(under_way)
    assert sorted(ended) == sorted(under_way)
    time.sleep(0.02)
    assert len(under_way) == count <= 1 + pace[1]


def test_reading_is_in_other_threads():
    names = list(ahead(range(6), lambda _: threading.current_thread().name, 2, 2))
    assert all(name.startswith("ahead") for name in names)
    assert set(ahead(range(3), lambda _: threading.current_thread(), 0, 5)) == {threading.current_thread()}


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_all_is_written_in_order_and_never_too_much_waits(depth):
    written, handed = [], 0

    def work(item: int) -> None:
        time.sleep(0.001)
        assert handed - len(written) <= depth
        written.append(item)

    with Beside(work, depth) as beside:
        for item in range(20):
            beside.put(item)
            handed = item + 1
    assert written == list(range(20))


@pytest.mark.parametrize("failing", [0, 3, 9])
def test_what_cannot_be_written_stops_the_work(failing):
    """The error comes with one of the next items, or at the end, and nothing later is written."""
    written: list[int] = []

    def work(item: int) -> None:
        if item == failing:
            raise OSError(28, "No space left on device")
        written.append(item)

    handed = []
    with pytest.raises(OSError, match="No space left"), Beside(work) as beside:
        for item in range(10):
            beside.put(item)
            handed.append(item)
    assert written == list(range(failing)) and len(handed) <= min(10, failing + 3)


def test_an_error_of_the_work_itself_comes_first():
    """What was handed over is written all the same: it is a result."""
    written: list[int] = []

    def work(item: int) -> None:
        time.sleep(0.002)
        written.append(item)

    with pytest.raises(KeyboardInterrupt), Beside(work, 8) as beside:
        for item in range(8):
            beside.put(item)
        raise KeyboardInterrupt
    assert written == list(range(8))


def test_on_a_cpu_tensors_stay_where_they_are():
    tensors = [torch.randn(4), torch.randn(2, 3)]
    for way in (Sent(tensors, located(CPU)), Fetched(tensors)):
        assert all(one is other for one, other in zip(way.arrived(), tensors, strict=True))
    assert reading(CPU) == (1, 1) and not buffer((2, 3), torch.int64, CPU).is_pinned()
    readers, depth = reading(torch.device("cuda"))
    assert readers >= 2 and depth >= readers
