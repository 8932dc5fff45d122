"""What the synthesisers read: Jane Austen's novels, from a Debian package, and words of the spoken commands.

The novels are in the public domain: some 720,000 words. Commands are heard as words in random order, never as
sentences of their grammar, so that none that speech recognition is tested on is learnt here.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np

from daisy.corpora.grammar import SLOTS, sentences, vocabulary
from daisy.errors import DaisyError

PACKAGE = "r-cran-janeaustenr"
"""The Debian package of the novels."""

FILE = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
"""Its data, an R database: compressed objects, one for each novel."""

LONGEST = 14
"""Words of a text at most, about five seconds."""

_LINE = re.compile(rb"\x00\x04\x00\x09(.{4})", re.DOTALL)
"""How R writes a line of text: its kind, its flags, and behind them its length."""


def lines(database: bytes) -> list[str]:
    """The lines of every text in an R database whose objects are compressed with zlib.

    Raises:
        DaisyError: if it is compressed in another way.
    """
    found = []
    while database:
        reader = zlib.decompressobj()
        try:
            content = reader.decompress(database[4:])  # behind the length of what comes out
        except zlib.error as error:
            raise DaisyError(f"the novels cannot be read ({error})", fix=f"Use {PACKAGE} 1.0") from None
        database = reader.unused_data
        place = 0
        while match := _LINE.search(content, place):
            place = match.end() + int.from_bytes(match[1], "big")
            found.append(content[match.end() : place].decode("utf-8", errors="replace"))
    return found


def pieces(found: list[str], longest: int = LONGEST) -> list[str]:
    """Texts of 2 to `longest` words in lower case, without digits: cut at punctuation, and evenly between."""
    whole = " ".join(found).lower().replace("_", "").replace("\u2019", "'")
    texts = []
    for sentence in re.split(r"[.!?;:()\"\u201c\u201d]|--|\bchapter\b", whole):
        words = re.findall(r"[a-z]+(?:'[a-z]+)?", sentence)
        if len(words) < 2 or re.search(r"\d", sentence):
            continue
        count = -(-len(words) // longest)
        edges = [len(words) * place // count for place in range(count + 1)]
        texts += [" ".join(words[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    return [text for text in texts if " " in text]


def novels(root: Path) -> list[str]:
    """The novels' texts, from the unpacked package under `root`.

    Raises:
        DaisyError: if the package is not there.
    """
    try:
        return pieces(lines((root / FILE).read_bytes()))
    except FileNotFoundError:
        raise DaisyError("the novels are not there", file=root / FILE, fix=f"Unpack {PACKAGE} under {root}") from None


def shuffled_commands(chance: np.random.Generator, forbidden: frozenset[str] = frozenset(sentences())) -> str:
    """Four to nine words of the commands in random order: no sentence of their grammar."""
    words = sorted(
        vocabulary(text for texts in SLOTS.values() for text in texts) | {"at", "call", "for", "set", "the", "to"}
    )
    while True:
        text = " ".join(chance.choice(words, size=chance.integers(4, 10)))
        if text not in forbidden:
            return text
