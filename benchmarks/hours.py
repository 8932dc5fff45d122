"""What the frozen model costs the whole paper on one GPU: the hours of its passes, at measured rates and wanted ones.

The hours of audio follow from config/paper.yaml and the published corpora; the measured rates are those of the part
`stages`, and the wanted ones those of `benchmarks.targets`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from benchmarks.table import Row
from benchmarks.targets import real_time

EPOCH_SECONDS = 160
"""Audio in a step of branches. An epoch of 960 hours has 21,600 of them, so that in 20,000 no batch comes twice."""


@dataclasses.dataclass(frozen=True)
class Work:
    """Passes of the frozen model that a kind of job makes, in all.

    Attributes:
        what: The rule, and of what.
        hours: Of audio.
        stage: The row of the table `stages` whose rate it has.
        wanted: How many times as fast it is to be.
        counted: Whether it belongs to branches, labels and features, whose sum has a target.
    """

    what: str
    hours: float
    stage: str
    wanted: float
    counted: bool = True


KEPT = 10.0 + 1.6 + 5.8
"""ASR's training set, SE, and SS's training set, in hours; SID keeps means over time."""

SID = 28_916 * 8.25 / 3600
ALL = 10.0 + 5.4 + 5.4 + SID + 1.6 + 5.8 + 3.6 + 11.0
"""Train, dev and test of ASR; SID; SE; train, dev and test of SS."""

POOLED = "extract last float32"
"""Passes that keep little: entropies, means over time, and states that go to a head at once."""

WORKS = (
    Work("`dump_features`: a tenth of 960 hours, bfloat16", 96, "dump bfloat16", 9_000),
    Work("`labels`: 960 hours, bfloat16", 960, "label bfloat16", 9_000),
    Work(
        "`branches`: 20,000 steps of 160 s, bfloat16, all of them new shapes",
        20_000 * EPOCH_SECONDS / 3600,
        "branches bfloat16, first epoch",
        EPOCH_SECONDS / 0.015,
    ),
    Work("`states` that are kept whole, twice (DAISY's and s3prl's), float32", 2 * KEPT, "extract all float32", 1_200),
    Work("`states` of SID, twice", 2 * SID, POOLED, 2_200),
    Work("`entropies`", ALL, POOLED, 2_200),
    Work(
        "streamed in trainings and evaluations: dev and test of ASR and SS, five models, ten looks at SS's dev set",
        5 * (5.4 + 5.4 + 10 * 3.6 + 11.0),
        POOLED,
        2_200,
        False,
    ),
    Work(
        "noise study: 16 conditions, entropies of two tasks, ASR's states for five models",
        18.3 + 6 * 16.4,
        POOLED,
        2_200,
        False,
    ),
)


def table(stages: Sequence[Row]) -> list[str]:
    """The lines of the table, in Markdown; no line if a stage that it needs was not measured.

    Args:
        stages: The rows of the part `stages`, of a GPU.
    """
    rates = {row["system"]: real_time(row) for row in stages if row["against"] == "real time"}
    if not all(work.stage in rates for work in WORKS):
        return []
    lines = ["| what | hours of audio | GPU-hours, as measured | GPU-hours, as wanted |", "|---|---|---|---|"]

    def line(name: str, works: Sequence[Work], form: str) -> str:
        measured = sum(work.hours / rates[work.stage] for work in works)
        wanted = sum(work.hours / work.wanted for work in works)
        return f"| {name} | {sum(work.hours for work in works):,.0f} | {measured:{form}} | {wanted:{form}} |"

    lines += [line(work.what, [work], ".2f") for work in WORKS]
    lines.append(line("**branches, labels and features**", [work for work in WORKS if work.counted], ".1f"))
    return [*lines, line("**all of these**", WORKS, ".1f")]
