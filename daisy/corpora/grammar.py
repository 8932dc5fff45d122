"""The grammar of the command sentences, with a closed vocabulary."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

SLOTS: dict[str, tuple[str, ...]] = {
    "switch": ("turn on", "turn off", "check"),
    "device": ("light", "lamp", "heater", "radio"),
    "room": ("kitchen", "bedroom", "garden", "office"),
    "thing": ("door", "window", "gate"),
    "move": ("open", "close", "lock"),
    "name": ("anna", "peter", "maria", "david"),
    "number": ("one", "two", "three", "four", "five", "six", "seven", "eight"),
    "day": ("", "today", "tomorrow", "on monday", "on friday"),
    "how": ("", "please", "now"),
}
"""What may stand in each place of a sentence."""

PATTERNS = (
    "{how} {switch} the {room} {device} {day}",
    "{move} the {room} {thing} at {number} {how}",
    "call {name} at {number} {day}",
    "remind {name} to {move} the {room} {thing} {day}",
    "set the alarm for {number} {day} {how}",
)
"""The sentences' patterns."""


def sentences() -> list[str]:
    """Every sentence of the grammar once, sorted."""
    texts = set()
    for pattern in PATTERNS:
        names = [name for name in SLOTS if f"{{{name}}}" in pattern]
        for words in itertools.product(*(SLOTS[name] for name in names)):
            texts.add(" ".join(pattern.format(**dict(zip(names, words, strict=True))).split()))
    return sorted(texts)


def vocabulary(texts: Iterable[str]) -> set[str]:
    """The words of `texts`."""
    return {word for text in texts for word in text.split()}
