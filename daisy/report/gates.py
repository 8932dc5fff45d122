"""Gates: numbers of a run that show early whether something is wrong, each with its bounds and their source.

`daisy.report.gate_list.GATES` holds them all; `check` computes those whose stage has ended.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from daisy.report.run_folder import RunFolder

Verdict = Literal["pass", "doubtful", "wrong", "not yet"]
VERDICTS: tuple[Verdict, ...] = ("pass", "doubtful", "wrong", "not yet")

Range = tuple[float | None, float | None]
"""The least and the greatest number, each None where there is no bound."""


def within(value: float, bounds: Range) -> bool:
    """Whether a number is inside; one that is no number is not."""
    low, high = bounds
    return not math.isnan(value) and (low is None or value >= low) and (high is None or value <= high)


def in_words(bounds: Range) -> str:
    """The bounds as people read them."""
    low, high = bounds
    if low is not None and high is not None:
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return "any" if low is high is None else f"at least {low:g}" if low is not None else f"at most {high:g}"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of a number.

    Attributes:
        passes: Inside them all is well.
        doubtful: Inside them somebody has to look; outside them it is wrong.
    """

    passes: Range
    doubtful: Range

    def verdict(self, value: float | None) -> Verdict:
        """The verdict on a number, or on one that is not there yet."""
        if value is None:
            return "not yet"
        return "pass" if within(value, self.passes) else "doubtful" if within(value, self.doubtful) else "wrong"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number that a gate is about.

    Attributes:
        about: Which task, corpus or method; empty where there is but one.
        value: The number; None if the stage that gives it has not ended.
        limits: Which of the gate's limits hold for it.
    """

    about: str
    value: float | None
    limits: str = ""


@dataclasses.dataclass(frozen=True)
class Gate:
    """A check of one kind of number.

    Attributes:
        stage: The rule after which it can be computed.
        what: The number, in words, with its unit.
        limits: Its bounds, by kind where there are several.
        source: Where the bounds come from.
        cause: What is likely if a number is outside them.
        measure: Computes the numbers of a run; none at all if the gate does not apply to it.
    """

    stage: str
    what: str
    limits: Mapping[str, Limits]
    source: str
    cause: str
    measure: Callable[[RunFolder], Iterable[Measured]]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A gate's verdict on one number.

    Attributes:
        stage: The gate's stage.
        what: What the number is.
        about: Of which task, corpus or method.
        value: The number, if it is there.
        passes: The bounds within which it passes, in words.
        doubtful: Those within which it is doubtful.
        verdict: The verdict.
        source: Where the bounds come from.
        cause: What is likely to be the matter; empty if it passes.
    """

    stage: str
    what: str
    about: str
    value: float | None
    passes: str
    doubtful: str
    verdict: Verdict
    source: str
    cause: str


def check(run: RunFolder, gates: Sequence[Gate]) -> list[Finding]:
    """All findings about a run, in the gates' order.

    Raises:
        DaisyError: if a file of the run is damaged.
    """
    findings = []
    for gate in gates:
        for item in gate.measure(run):
            limits = gate.limits[item.limits]
            verdict = limits.verdict(item.value)
            cause = gate.cause if verdict in ("doubtful", "wrong") else ""
            bounds = in_words(limits.passes), in_words(limits.doubtful)
            findings.append(
                Finding(gate.stage, gate.what, item.about, item.value, *bounds, verdict, gate.source, cause)
            )
    return findings


def render(findings: Sequence[Finding]) -> str:
    """The findings for people: gate by gate, with the likely cause of what does not pass."""
    lines, width = [], max((len(item.about) for item in findings), default=0)
    for stage, what in dict.fromkeys((item.stage, item.what) for item in findings):
        same = [item for item in findings if (item.stage, item.what) == (stage, what)]
        lines.append(f"{stage}: {what}")
        for item in same:
            number = "–" if item.value is None else f"{item.value:.4g}"
            lines.append(f"  {item.verdict:8}  {item.about:{width}}  {number:>7}  (passes: {item.passes})".rstrip())
        faults = [item for item in same if item.cause]
        if faults:
            lines += [f"  likely: {faults[0].cause}", f"  bounds: {faults[0].source}"]
    counts = [(sum(item.verdict == verdict for item in findings), verdict) for verdict in VERDICTS]
    return "\n".join([*lines, ", ".join(f"{count} {verdict}" for count, verdict in counts)])
