"""Which tasks there are. Free of torch, so that the Snakefile can read it while parsing."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered task.

    Attributes:
        module: Where it is written; the module has its class under the name `TASK`.
        corpus: The corpus that it shares unless the config names one of its own; empty if it shares none.
        pooled: Whether its head takes each state's mean over time as a single frame.
        waves: Whether its predictions are signals, made from the recording itself.
        known_speakers: Whether it takes speakers with enough recordings in every part, and no others.
        transcribed: Whether it takes recordings with a text, and no others.
        exits: The options that matter to its linear heads on single layers, where its own exits are trained; None for
            a task without such heads.
    """

    module: str
    corpus: str = ""
    pooled: bool = False
    waves: bool = False
    known_speakers: bool = False
    transcribed: bool = False
    exits: tuple[str, ...] | None = None


TASKS = {
    "sid": Entry("daisy.tasks.sid", corpus="speech", pooled=True, known_speakers=True, exits=("normalise",)),
    "asr": Entry("daisy.tasks.asr", transcribed=True, exits=("stride", "end_marks")),
    "ks": Entry("daisy.tasks.ks", corpus="asr", pooled=True, transcribed=True, exits=("keywords",)),
    "pr": Entry("daisy.tasks.pr", transcribed=True, exits=()),
    "se": Entry("daisy.tasks.se", waves=True),
    "ss": Entry("daisy.tasks.ss", waves=True),
}
