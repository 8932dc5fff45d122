"""Which recordings of the embedded corpus serve as noise, and in which part: music, and voices for babble."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from daisy.corpora.table import Recording
from daisy.errors import DaisyError
from daisy.noise import babble, excerpt
from daisy.seeds import generator

SHARES = {"test": 1 / 3, "dev": 1 / 6}
"""Share of the pieces of music, and of the babbling voices, in each part; training has the rest."""

BABBLE_BELOW = 40
"""A speaker with fewer recordings than this only babbles: it is too few to be a speaker of a task."""

Read = Callable[[Recording], np.ndarray]


def divide(names: Sequence[str], seed: int, kind: str) -> dict[str, list[str]]:
    """Divide voices or pieces of music among train, dev and test, at least one to each.

    Raises:
        DaisyError: if there are fewer than three.
    """
    if len(names) < 3:
        raise DaisyError(
            f"{len(names)} sources of {kind}, and train, dev and test need one each",
            fix="Add packages to data.packages",
        )
    order = [sorted(names)[index] for index in generator(seed, "noise", kind).permutation(len(names))]
    test, dev = (max(1, round(len(names) * SHARES[part])) for part in ("test", "dev"))
    return {"test": order[:test], "dev": order[test : test + dev], "train": order[test + dev :]}


class Noises:
    """Music and babble of one part.

    Args:
        music: Pieces of music.
        voices: Of every babbling speaker the recordings.
        at_once: Voices that babble at once.
        read: Reads a recording, (samples,).
    """

    kinds = ("music", "babble")

    def __init__(
        self, music: Sequence[Recording], voices: Sequence[Sequence[Recording]], at_once: int, read: Read
    ) -> None:
        self.music, self.voices, self.at_once, self.read = music, voices, at_once, read

    def draw(self, kind: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """(samples,) of noise."""
        if kind == "music":
            return excerpt(self.read(self.music[int(rng.integers(len(self.music)))]), samples, rng)
        chosen = rng.permutation(len(self.voices))[: self.at_once]
        return babble([[self.read(item) for item in self.voices[index]] for index in chosen], samples, rng)


def noises(recordings: Sequence[Recording], seed: int, at_once: int, read: Read) -> dict[str, Noises]:
    """The noise of train, dev and test: other pieces of music and other voices in each.

    Args:
        recordings: The whole embedded corpus.
        seed: Seed of the division.
        at_once: Voices that babble at once.
        read: Reads a recording, (samples,).

    Raises:
        DaisyError: if there is too little of it.
    """
    by_speaker: dict[str, list[Recording]] = {}
    for item in sorted(recordings, key=lambda item: item.id):
        by_speaker.setdefault(item.speaker, []).append(item)
    pieces = [name for name in by_speaker if name.startswith("music-")]
    few = [name for name, items in by_speaker.items() if len(items) < BABBLE_BELOW and name not in pieces]
    music, voices = divide(pieces, seed, "music"), divide(few, seed, "babble")
    return {
        part: Noises(
            [item for name in music[part] for item in by_speaker[name]],
            [by_speaker[name] for name in voices[part]],
            at_once,
            read,
        )
        for part in music
    }
