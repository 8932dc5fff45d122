"""One line of progress every few seconds, readable in a terminal and in a log file alike."""

from __future__ import annotations

import re
import sys
import time

from daisy.common.spent import Count


class Progress:
    """Counts work done and reports it on standard error.

    Args:
        label: What is being done, for example ``"labels"``; the key of a folder of the store is left away.
        total: The amount of work, in `unit`.
        unit: What is counted.
        every: Seconds between two lines.
        inner: Whether the work is a part of what another one counts: then it does not count for the plan of later runs,
            and nothing is said of it if it is done before the first line would be due.
    """

    def __init__(
        self, label: str, total: float, unit: str = "items", every: float = 5.0, *, inner: bool = False
    ) -> None:
        label = re.sub("-[0-9a-f]{12}$", "", label)
        self.label, self.total, self.unit, self.every = label, total, unit, every
        self.done = 0.0
        self._start = self._last = time.monotonic()
        self._initial = 0.0
        self._count = None if inner else Count(unit)

    def resume_at(self, done: float) -> None:
        """Say how much an earlier run had done, so that the estimate counts only this run."""
        self.done = self._initial = done

    def add(self, amount: float = 1, note: str = "") -> None:
        """Count `amount` more, and report if the last line is old enough or the work is finished."""
        self.done += amount
        if self._count is not None:
            self._count.add(amount)
        now = time.monotonic()
        finished = self.done >= self.total
        silent = self._count is None and self._last == self._start
        if now - self._last < self.every and (not finished or silent):
            return
        self._last = now
        elapsed = now - self._start
        rate = (self.done - self._initial) / max(elapsed, 1e-9)
        left = f"done in {elapsed:.0f} s" if finished else f"{(self.total - self.done) / max(rate, 1e-9):.0f} s left"
        share = 100 * self.done / max(self.total, 1e-9)
        tail = f", {note}" if note else ""
        print(
            f"{self.label}: {self.done:,.0f}/{self.total:,.0f} {self.unit} ({share:.0f}%), {left}{tail}",
            file=sys.stderr,
            flush=True,
        )
