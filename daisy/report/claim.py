"""A claim and how it fared: a row of ``claims.csv``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

Holds = Literal["yes", "no", "cannot be told"]
YES: Holds = "yes"
NO: Holds = "no"
OPEN: Holds = "cannot be told"


@dataclasses.dataclass(frozen=True)
class ClaimRow:
    """A claim and how it fared: ``claims.csv``.

    Attributes:
        group: What it says, in the words that all claims of its kind share.
        task: The task's name; empty for a claim about all of them.
        claim: The claim itself, one sentence.
        holds: ``yes``, ``no`` or ``cannot be told``.
        numbers: What the verdict rests on.
        reason: Why it does not hold or cannot be told, where that is known.
    """

    group: str
    task: str | None
    claim: str
    holds: str
    numbers: str | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Asked:
    """A claim before its verdict: the first three columns of its row."""

    group: str
    task: str | None
    claim: str

    def answer(self, holds: Holds, numbers: str, reason: str = "") -> ClaimRow:
        """The row, once it is known how the claim fared."""
        return ClaimRow(self.group, self.task, self.claim, holds, numbers or None, reason or None)

    def untold(self, reason: str, numbers: str = "") -> ClaimRow:
        """The row of a claim for whose verdict there is no ground."""
        return self.answer(OPEN, numbers, reason)


def verdict(holds: bool) -> Holds:
    """A verdict that has ground."""
    return YES if holds else NO


def tally(counts: Mapping[str, int]) -> str:
    """How many claims hold, in one sentence."""
    total = sum(counts.values())
    return (
        f"Of {total} claims, {counts.get(YES, 0)} hold, {counts.get(NO, 0)} do not, and {counts.get(OPEN, 0)} cannot "
        "be told here."
    )
