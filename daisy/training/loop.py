"""The loop that every training runs in: steps, saved states, notices, curves, and errors that name the setting."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from daisy.common.ahead import ahead
from daisy.common.compute import memory
from daisy.common.progress import Progress
from daisy.errors import DaisyError
from daisy.training.curves import Curves
from daisy.training.notice import RESUBMIT, Notice
from daisy.training.resume import Resumable
from daisy.training.workers import Workers

Batch = TypeVar("Batch")

Values = Callable[[], tuple[Mapping[str, float], str]]
"""Reads what a step gave, values for the curves and a note for the log; that waits for the device."""


def check_finite(loss: float, step: int, setting: str) -> None:
    """Stop a training whose loss is no number.

    Raises:
        DaisyError: naming the step, and the setting that usually mends it.
    """
    if not math.isfinite(loss):
        raise DaisyError(
            f"the loss is {loss} at step {step}",
            fix=f"Lower {setting}; the state saved before this step is kept, and the next run goes on from it",
        )


@dataclasses.dataclass(frozen=True)
class Loop:
    """One training.

    Attributes:
        label: What is trained, for the log.
        steps: Updates.
        save_every: Steps between two saved states.
        size: The setting that decides how much memory a step takes.
        saved: The state on the disk.
        workers: The processes.
        curves: Folder for TensorBoard; None for none.
        lag: Steps that are begun before the values of one are read, so that a GPU need not wait for them: 0 or 1.
    """

    label: str
    steps: int
    save_every: int
    size: str
    saved: Resumable
    workers: Workers = Workers()
    curves: Path | None = None
    lag: int = 0

    def run(
        self,
        order: Iterator[list[int]],
        read: Callable[[int, list[int]], Batch],
        update: Callable[[int, Batch], Values],
        extra: Callable[[], Mapping[str, Any]],
        done: int,
        reading: tuple[int, int],
    ) -> None:
        """Train from step `done` on.

        Args:
            order: What is in each batch, without end, the same from the first step whatever was done before.
            read: Of a step's number and what is in its batch: the batch. It is called ahead, in threads, and never for
                a step that was done before.
            update: Of a step's number and batch: does it, and gives what reads its values.
            extra: What is saved beside the parts of the state.
            done: Steps that earlier runs did.
            reading: How many threads read, and how far ahead.

        Raises:
            DaisyError: if a step needs more memory than there is.
            SystemExit: with a status that means "run me again", once a notice was given and the state is saved.
        """
        progress = Progress(self.label, self.steps, "steps")
        progress.resume_at(done)
        curves = Curves(self.curves if self.workers.first else None, done)
        begun: deque[tuple[int, Values]] = deque()

        def prepared(item: tuple[int, list[int]]) -> tuple[int, Batch]:
            with self._memory(item[0]):
                return item[0], read(*item)

        def settle(lag: int) -> None:
            """Read the values of all steps but the last `lag`."""
            while len(begun) > lag:
                number, take = begun.popleft()
                with self._memory(number):
                    values, note = take()
                curves.add(number, values)
                if self.workers.first:
                    progress.add(1, note)

        steps = itertools.islice(zip(range(1, self.steps + 1), order, strict=False), done, None)
        with (
            Notice() as notice,
            contextlib.closing(curves),
            contextlib.closing(ahead(steps, prepared, *reading)) as ready,
        ):
            for step, batch in ready:
                with self._memory(step):
                    begun.append((step, update(step, batch)))
                told = self.workers.any(notice.given)
                saves = told or step % self.save_every == 0
                settle(0 if saves or step == self.steps else self.lag)
                if saves:
                    self.saved.save(step, extra())
                if told:
                    print(f"{self.label}: told to end; saved at step {step}, run again to go on", file=sys.stderr)
                    raise SystemExit(RESUBMIT)

    def _memory(self, step: int) -> contextlib.AbstractContextManager[None]:
        return memory(f"step {step}", f"{self.size}, or raise accumulate beside it")
