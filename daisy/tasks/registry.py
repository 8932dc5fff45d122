"""Which tasks there are. Free of torch, so that the Snakefile can read it while parsing."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered task.

    Attributes:
        module: Where it is written; the module has its class under the name `TASK`.
        pooled: Whether its head takes each state's mean over time as a single frame.
        waves: Whether its predictions are signals, made from the recording itself.
    """

    module: str
    pooled: bool = False
    waves: bool = False


TASKS = {
    "sid": Entry("daisy.tasks.sid", pooled=True),
    "asr": Entry("daisy.tasks.asr"),
    "se": Entry("daisy.tasks.se", waves=True),
    "ss": Entry("daisy.tasks.ss", waves=True),
}
