"""Prepare the command corpus: synthesised English command sentences with transcripts, for ASR.

No package of free recordings comes with transcripts, so this one corpus is synthetic. Sentences come
from a small grammar with a closed vocabulary; no sentence occurs in two splits, and one voice is heard
in the test set only. Voices are Flite's (Debian) and SVOX Pico's (`py-nanotts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE, write
from daisy.common.progress import Progress
from daisy.common.seeds import generator
from daisy.corpora import debian
from daisy.corpora.grammar import sentences, vocabulary
from daisy.corpora.settings import CommandsSettings
from daisy.corpora.synthesis import PICO_VOICES, Command, Synthesiser
from daisy.corpora.table import Recording, write_table
from daisy.errors import DaisyError

FLITE_VOICES = ("slt", "rms")
UNSEEN = "pico-gb"
"""The voice that is heard in the test set only; one in `UNSEEN_EVERY` of its recordings."""

UNSEEN_EVERY = 12
"""So rare because a recogniser that has heard three voices hardly understands a fourth; see the README."""

SEEN = (*FLITE_VOICES, "pico-us")
"""The voices of train and dev, and of the other test recordings."""


def draw(settings: CommandsSettings, every: Sequence[str]) -> list[str]:
    """`every` sentence in a random order whose first ``settings.train`` hold the whole vocabulary.

    Where chance leaves a word out of train, as it does in a small one, the sentences with the most new
    words come first. A train set too small even for those lacks some words.
    """
    order = [every[index] for index in generator(settings.seed, "sentences").permutation(len(every))]
    unheard = vocabulary(every)
    if vocabulary(order[: settings.train]) == unheard:
        return order
    first: list[str] = []
    while unheard:
        first.append(max(order, key=lambda text: len(unheard.intersection(text.split()))))
        unheard -= vocabulary(first[-1:])
    return first + [text for text in order if text not in first]


def plan(settings: CommandsSettings) -> list[Command]:
    """Who says what: sentences drawn without repetition, one after the other for train, dev and test.

    Raises:
        DaisyError: if the grammar has fewer sentences than are asked for.
    """
    every = sentences()
    counts = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    if sum(counts.values()) > len(every):
        raise DaisyError(
            f"{sum(counts.values())} sentences asked for, and the grammar has {len(every)}",
            fix="Lower the counts under data.commands",
        )
    order = iter(draw(settings, every))
    commands = []
    for split, count in counts.items():
        for number in range(count):
            chance = generator(settings.seed, "voice", split, number)
            voice = UNSEEN if split == "test" and number % UNSEEN_EVERY == 0 else str(chance.choice(SEEN))
            rate, pitch = (float(np.round(value, 3)) for value in chance.uniform(0.9, 1.1, size=2))
            name = f"{voice}/{split}-{number:05d}"
            commands.append(Command(name, split, next(order), voice, rate, pitch))
    return commands


def synthesise(commands: Sequence[Command], root: Path, audio: Path) -> Iterator[Recording]:
    """Speak `commands` into FLAC files under `audio`."""
    synthesiser = Synthesiser(root)
    progress = Progress("command speech", len(commands), "recordings")
    with ThreadPoolExecutor(2) as pool:
        for command, wave in zip(commands, pool.map(synthesiser.speak, commands), strict=True):
            write(audio / f"{command.id}.flac", wave)
            source = "py-nanotts" if command.voice in PICO_VOICES else "flite"
            progress.add()
            yield Recording(command.id, len(wave), command.voice, command.text, command.split, source)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--debian", type=Path, required=True, help="folder for downloaded packages")
    parser.add_argument("--audio", type=Path, required=True, help="output: folder of FLAC files")
    parser.add_argument("--table", type=Path, required=True, help="output: table of the recordings")
    arguments = parser.parse_args(argv)
    commands = plan(stage.settings(CommandsSettings, arguments.settings))
    root = debian.fetch(("flite", "libflite1"), arguments.debian)
    recordings = list(synthesise(commands, root, arguments.audio))
    write_table(arguments.table, recordings)
    minutes = sum(item.samples for item in recordings) / SAMPLE_RATE / 60
    words = vocabulary(item.text for item in recordings)
    voices = {item.speaker for item in recordings}
    print(
        f"command speech: {len(recordings)} recordings, {minutes:.1f} minutes, {len(voices)} voices, {len(words)} words"
    )


if __name__ == "__main__":
    stage.run(main)
