"""What people write in a config, as the values that they mean.

YAML 1.1, which Snakemake reads, takes ``1e-3`` for a text, and ``--config 'key={...}'`` gives all that is nested as
texts. Where the schema wants a number and a text spells one in one way alone, it is that number; so every way into
the config means the same.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
"""A number as programs and people write it; not 1_000, 0x10, 1:30 or 0,5."""

_WORDS = {"true": True, "false": False}
_NOTHING = ("null", "~", "")


def meant(value: Any, schema: Mapping[str, Any]) -> Any:
    """A config, or a part of it, with texts as the numbers and truth values that its schema wants.

    Args:
        value: As YAML or Snakemake gives it.
        schema: Of this part.

    Returns:
        The same, with every text that names a file of the user's (``~/...``) expanded too. What does not fit stays as
        it is, for the schema to refuse.
    """
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if isinstance(value, Mapping):
        inner, others = schema.get("properties", {}), schema.get("additionalProperties")
        others = others if isinstance(others, Mapping) else {}
        return {key: meant(item, inner.get(key, others)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [meant(item, schema.get("items", {})) for item in value]
    if isinstance(value, str):
        return _text(value, kinds)
    # A whole number may be written with a point or an exponent: 1.0e+4.
    if isinstance(value, float) and "integer" in kinds and "number" not in kinds and value.is_integer():
        return int(value)
    return value


def _text(value: str, kinds: tuple[str, ...]) -> Any:
    """A text, or what it spells."""
    word = value.strip()
    if "string" in kinds or not kinds:
        return os.path.expanduser(value) if value.startswith("~") else value
    if "boolean" in kinds and word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if "object" in kinds and word.lower() in _NOTHING:
        return None
    if not NUMBER.fullmatch(word):
        return value
    number = float(word)
    if not math.isfinite(number):
        return value
    if re.fullmatch(r"[+-]?\d+", word):
        number = int(word)
    if "number" in kinds:
        return number
    return int(number) if "integer" in kinds and number == int(number) else value
