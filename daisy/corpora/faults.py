"""Faults and notices about a corpus of the user's own: gathered, so that all are told at once, and grouped by kind."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that keeps a corpus from being used.

    Attributes:
        kind: What it has in common with others, such as ``"a rate"``; never shown.
        name: The recording, file or row, in a word.
        problem: What is wrong, with the place and the value.
        fix: What to do about it, as an imperative sentence.
    """

    kind: str
    name: str
    problem: str
    fix: str


@dataclasses.dataclass
class Notes:
    """What is read otherwise than it is written, or left out: by kind, with names.

    Attributes:
        kinds: Names by what happened to them.
    """

    kinds: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def add(self, what: str, name: str = "") -> None:
        """Note that `what` concerns `name`; without a name it is said once."""
        names = self.kinds.setdefault(what, [])
        if name:
            names.append(name)

    def lines(self) -> list[str]:
        """One line for every kind, with the number of names and the first of them."""
        return [f"{what}: {len(names):,} ({some(names)})" if names else what for what, names in self.kinds.items()]


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - most
    return ", ".join(map(shown, names[:most])) + (f" and {more:,} more" if more > 0 else "")


def shown(text: str) -> str:
    """A text on one line, whatever is in it."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", lambda match: repr(match[0])[1:-1], text)


def grouped(faults: Iterable[Fault]) -> Iterator[tuple[Fault, str]]:
    """Of every kind of fault the first one, and a sentence that tells it and whom else it concerns."""
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.kind, []).append(fault)
    for first, *others in groups.values():
        names = list(dict.fromkeys(item.name for item in others))
        more = f" (and {len(others):,} more: {some(names)})" if others else ""
        yield first, f"{shown(first.problem)}{more}"


def lines(faults: Iterable[Fault]) -> list[str]:
    """A line for every kind of fault, with its fix."""
    return [f"{problem}. {fault.fix}." for fault, problem in grouped(faults)]
