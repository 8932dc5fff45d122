"""The loop that every training runs in: steps, saved states, notices, curves, and errors that name the setting."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from daisy.common.compute import memory
from daisy.common.progress import Progress
from daisy.errors import DaisyError
from daisy.training.curves import Curves
from daisy.training.notice import RESUBMIT, Notice
from daisy.training.resume import Resumable
from daisy.training.workers import Workers


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
    """

    label: str
    steps: int
    save_every: int
    size: str
    saved: Resumable
    workers: Workers = Workers()
    curves: Path | None = None

    def run(
        self,
        batches: Iterator[list[int]],
        update: Callable[[int, list[int]], tuple[Mapping[str, float], str]],
        extra: Callable[[], Mapping[str, Any]],
        done: int,
    ) -> None:
        """Train from step `done` on.

        Args:
            batches: Without end, the same from the first step whatever was done before.
            update: Of a step's number and batch: does it, and gives values for the curves and a note for the log.
            extra: What is saved beside the parts of the state.
            done: Steps that earlier runs did.

        Raises:
            DaisyError: if a step needs more memory than there is.
            SystemExit: with a status that means "run me again", once a notice was given and the state is saved.
        """
        progress = Progress(self.label, self.steps, "steps")
        progress.resume_at(done)
        curves = Curves(self.curves if self.workers.first else None, done)
        with Notice() as notice, contextlib.closing(curves):
            for step, batch in enumerate(batches, start=1):
                if step > self.steps:
                    return
                if step <= done:
                    continue
                with memory(f"step {step}", f"{self.size}, or raise accumulate beside it"):
                    values, note = update(step, batch)
                curves.add(step, values)
                told = self.workers.any(notice.given)
                if told or step % self.save_every == 0:
                    self.saved.save(step, extra())
                if told:
                    print(f"{self.label}: told to end; saved at step {step}, run again to go on", file=sys.stderr)
                    raise SystemExit(RESUBMIT)
                if self.workers.first:
                    progress.add(1, note)
