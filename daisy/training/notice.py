"""A cluster's notice that a job's time is up: the training saves its state and ends, to be taken up again."""

from __future__ import annotations

import signal
from types import FrameType

RESUBMIT = 75
"""Exit status of a training that was told to end and can go on: `EX_TEMPFAIL`, try again."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Notice:
    """While in its context, SIGTERM and SIGUSR1 end nothing, and are remembered in `given`."""

    def __init__(self) -> None:
        self.given = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Notice:
        self._before = {kind: signal.signal(kind, self._take) for kind in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)  # type: ignore[arg-type]

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.given = True
