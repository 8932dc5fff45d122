"""Phones of words, by a lexicon as LibriSpeech's: a word and its phones per line, in any case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daisy.errors import DaisyError

Lexicon = Mapping[str, str]
"""The phones of every word, with spaces between them, in lower case."""


def first_pronunciations(lines: Iterable[str]) -> dict[str, str]:
    """The first pronunciation of every word, as s3prl takes it; later lines of the same word do not count.

    Raises:
        DaisyError: if a line has a word without phones.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        word, *phones = line.lower().split() or [""]
        if word and not phones:
            raise DaisyError(f"line {number}, {word!r}, has no phones", fix="Write a word and its phones in every line")
        if word:
            found.setdefault(word, " ".join(phones))
    return found


def phones_of(text: str, lexicon: Lexicon) -> str:
    """The phones of a text, word by word.

    Raises:
        DaisyError: that names the words without a pronunciation.
    """
    words = text.lower().split()
    if missing := [word for word in dict.fromkeys(words) if word not in lexicon]:
        problem = f"no pronunciation of {', '.join(map(repr, missing))}"
        raise DaisyError(problem, fix="Add it to the lexicon, or leave the recording out")
    return " ".join(lexicon[word] for word in words)
