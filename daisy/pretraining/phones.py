"""Phones with their times, and the class of every frame of HuBERT: each half of a phone is a class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daisy.common.audio import SAMPLE_RATE
from daisy.hubert.config import HubertConfig

_SYMBOLS = {
    "pau": "_: _ _!",
    **{"aa": "A: 0", "ae": "a aa", "ah": "V", "ao": "O O: O2", "aw": "aU", "ax": "@ @2 @5 @- a#", "ay": "aI aI2 aI3"},
    **{"b": "b", "ch": "tS", "d": "d", "dh": "D", "eh": "E", "er": "3 3: VR IR", "ey": "eI", "f": "f", "g": "g"},
    **{"hh": "h", "ih": "I I2 I#", "iy": "i i:", "jh": "dZ", "k": "k x", "l": "l", "m": "m", "n": "n n-", "ng": "N"},
    **{"ow": "oU", "oy": "OI", "p": "p", "r": "r r-", "s": "s", "sh": "S", "t": "t t# t2 ?", "th": "T", "uh": "U"},
    **{"uw": "u u:", "v": "v", "w": "w w#", "y": "j ;", "z": "z", "zh": "Z"},
}
"""By Flite's phones of English, silence first, what eSpeak NG calls them."""

_PAIRS = {"ax l": "@L", "ao r": "O@ o@", "aa r": "A@", "eh r": "e@", "ih r": "i@3", "iy ax": "i@", "uh r": "U@"}
"""What eSpeak NG takes for one sound, likewise."""

PHONES = tuple(_SYMBOLS)

CLASSES = 2 * len(PHONES)
"""Class 2 i is the first half of phone i, class 2 i + 1 the second."""

ESPEAK = {
    symbol: tuple(phones.split())
    for phones, symbols in {**_SYMBOLS, **_PAIRS, "ay ax": "aI@"}.items()
    for symbol in symbols.split()
}
"""eSpeak NG's symbols as phones; two of them share its time out evenly."""

_SHAPE = HubertConfig()


def of_espeak(begins: Sequence[tuple[str, int]], samples: int, rate: float) -> list[tuple[str, float]] | None:
    """eSpeak's symbols, each with the sample where it begins, as phones with the second where each ends.

    None where a symbol is not known. Marks of stress are left away.
    """
    result: list[tuple[str, float]] = []
    edges = [*(begin for _, begin in begins[1:]), samples]
    for (symbol, begin), end in zip(begins, edges, strict=True):
        parts = ESPEAK.get(symbol.lstrip("',%="))
        if parts is None:
            return None
        length = (end - begin) / len(parts)
        result += [(phone, (begin + length * place) / rate) for place, phone in enumerate(parts, start=1)]
    return result


def of_flite(text: str) -> list[tuple[str, float]] | None:
    """What flite prints, ``phone:end`` with spaces between, likewise."""
    pairs = [item.partition(":") for item in text.split()]
    return [(phone, float(end)) for phone, _, end in pairs] if all(phone in PHONES for phone, _, _ in pairs) else None


def frame_classes(phones: Sequence[tuple[str, float]], samples: int) -> np.ndarray:
    """The class of every frame of a recording.

    Args:
        phones: Each with the second where it ends, in order.
        samples: The recording's length; what lies behind the last phone is silence.

    Returns:
        (T,) int64: that of the phone, and of its half, in which the middle of the frame's receptive field lies.
    """
    ends = np.array([*(end for _, end in phones), max(samples / SAMPLE_RATE, phones[-1][1]) + 1])
    numbers = np.array([*(PHONES.index(phone) for phone, _ in phones), 0])
    middles = (np.arange(_SHAPE.frames(samples)) * _SHAPE.hop + _SHAPE.receptive_field / 2) / SAMPLE_RATE
    place = np.searchsorted(ends, middles, side="right")
    begins = np.concatenate([[0.0], ends[:-1]])
    return 2 * numbers[place] + (middles >= (begins + ends)[place] / 2)
