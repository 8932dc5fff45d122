"""How much a stage does of what drives its time, and how long each kind of work takes it: for the plan of later runs.

A stage's seconds are those of its start (Python, torch, reading the model), which no amount of work changes, and those
of its parts. A part is so much of one unit: seconds of audio, steps, recordings. Parts may lie in one another; what
the inner one takes does not count for the outer one. Nothing here can change a result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BEGUN = time.monotonic()


@dataclasses.dataclass
class Spent:
    """Time.

    Attributes:
        amount: Of the work, in its unit.
        seconds: By the clock.
        cpu: Of processors, those of ended child processes too.
    """

    amount: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


_parts: dict[str, Spent] = {}
_first: dict[str, Spent] = {}
"""What was counted first of each unit: it also loads and warms up what the others find ready."""

_inner = Spent()
"""What all `part`s took, for a count that they lie in."""

_notes: dict[str, Any] = {}


def _spend(unit: str, more: Spent) -> None:
    _first.setdefault(unit, more)
    spent = _parts.setdefault(unit, Spent())
    spent.amount += more.amount
    spent.seconds += more.seconds
    spent.cpu += more.cpu


class Count:
    """Work of one unit that is counted while it is done; it begins now."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._last = self._now()

    def add(self, amount: float) -> None:
        """Count `amount`, with the time since the last was counted."""
        now = self._now()
        _spend(self._unit, Spent(amount, now.seconds - self._last.seconds, now.cpu - self._last.cpu))
        self._last = now

    @staticmethod
    def _now() -> Spent:
        return Spent(0.0, time.monotonic() - _inner.seconds, cpu_seconds() - _inner.cpu)


@contextlib.contextmanager
def part(unit: str, amount: float) -> Iterator[None]:
    """Work that is done at once.

    Args:
        unit: What is counted.
        amount: How much of it is done inside.
    """
    before, seconds, cpu = dataclasses.replace(_inner), time.monotonic(), cpu_seconds()
    yield
    taken, used = time.monotonic() - seconds, cpu_seconds() - cpu
    inside = Spent(0.0, _inner.seconds - before.seconds, _inner.cpu - before.cpu)
    _spend(unit, Spent(amount, taken - inside.seconds, used - inside.cpu))
    _inner.seconds, _inner.cpu = before.seconds + taken, before.cpu + used


def note(name: str, value: Any) -> None:
    """Keep a fact that a time holds for: the device, the model's shape; it goes into JSON."""
    _notes[name] = value


def age() -> float:
    """Seconds since this process was started, or else since this module was read."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # a system without them
        return time.monotonic() - _BEGUN


def told() -> dict[str, Any]:
    """All of it, for a record: seconds and processor seconds in all, of every part by unit, and what was noted."""
    parts = {
        unit: {**dataclasses.asdict(spent), "first": dataclasses.asdict(_first[unit])}
        for unit, spent in sorted(_parts.items())
    }
    return {"seconds": age(), "cpu": cpu_seconds(), "parts": parts, **_notes}
