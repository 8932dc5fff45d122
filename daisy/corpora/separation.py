"""Mix two speakers at once into a corpus for SS, as long as the shorter of them (min mode), without noise.

Speakers of the test mixtures speak in no mixture of train and dev.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from daisy.common import stage
from daisy.common.seeds import generator
from daisy.corpora.mixing import PEAK, power
from daisy.corpora.mixtures import Mixture, Reader, usable, write_corpus
from daisy.corpora.partition import partition
from daisy.corpora.settings import MixingSettings
from daisy.corpora.table import Recording, read_table
from daisy.errors import DaisyError

LEVELS = (-33.0, -25.0)
"""Range of a speaker's level in dB relative to full scale, drawn uniformly, as LibriMix draws loudness."""

TRIES = 1000
"""Draws of two recordings before the corpus counts as too small."""


def two_speakers(part: str, speech: Sequence[Recording], settings: MixingSettings, read: Reader) -> Iterator[Mixture]:
    """Mixtures of two speakers of one part, from recordings drawn alike; no pair of recordings twice."""
    tested = set(settings.test_speakers)
    chosen = [item for item in usable(speech, settings.seconds) if (item.speaker in tested) == (part == "test")]
    speakers = {item.speaker for item in chosen}
    if len(speakers) < 2:
        raise DaisyError(
            f"{len(speakers)} speakers for {part} have recordings of {settings.seconds[0]:g} to "
            f"{settings.seconds[1]:g} s, and a mixture needs two",
            fix="Change data.mixtures.seconds or data.mixtures.separation.test_speakers",
        )
    seen: set[frozenset[str]] = set()
    for place in range(getattr(settings, part)):
        rng = generator(settings.seed, "separation", part, place)
        pair = _pair(chosen, seen, rng)
        samples = min(item.samples for item in pair)
        signals = []
        for item in pair:
            wave = read(item)[:samples]
            level = 10 ** (rng.uniform(*LEVELS) / 20)
            signals.append(wave * level / np.sqrt(power(wave) + 1e-12))
        mixture = signals[0] + signals[1]
        scale = min(1.0, PEAK / max(float(np.abs(wave).max()) for wave in (mixture, *signals)))
        first, second = (scale * wave for wave in signals)
        who = "+".join(item.speaker for item in pair)
        source = " + ".join(item.id for item in pair)
        yield Mixture(f"{place:05d}", who, source, scale * mixture, {"s1": first, "s2": second})


def _pair(
    items: Sequence[Recording], seen: set[frozenset[str]], rng: np.random.Generator
) -> tuple[Recording, Recording]:
    for _ in range(TRIES):
        one, other = (items[int(index)] for index in rng.integers(len(items), size=2))
        key = frozenset((one.id, other.id))
        if one.speaker != other.speaker and key not in seen:
            seen.add(key)
            return one, other
    raise DaisyError(
        f"after {len(seen)} mixtures of two speakers hardly any new pair of recordings is left",
        fix="Ask for fewer in data.mixtures.separation",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="table of the embedded corpus; audio/ beside it")
    parser.add_argument("--table", type=Path, required=True, help="output: table of the recordings; audio/ beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(MixingSettings, arguments.settings)
    parts = partition(read_table(arguments.speech), settings.splits)
    read = Reader(arguments.speech)
    write_corpus(arguments.table, settings, "mix", lambda part: two_speakers(part, parts[part], settings, read))


if __name__ == "__main__":
    stage.run(main)
