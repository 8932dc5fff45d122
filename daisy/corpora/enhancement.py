"""Mix clean prompts with noise into a corpus for SE, each mixture at one of a few signal-to-noise ratios.

Speakers of the test mixtures speak in no mixture of train and dev, and noise of the test is heard in neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from daisy.common import stage
from daisy.common.seeds import generator
from daisy.corpora.mixing import excerpt, mix
from daisy.corpora.mixtures import Mixture, Reader, usable, write_corpus
from daisy.corpora.partition import partition
from daisy.corpora.settings import EnhancementSettings
from daisy.corpora.table import Recording, read_table
from daisy.errors import DaisyError


def noisy_mixtures(
    part: str,
    speech: Sequence[Recording],
    noise: Sequence[Recording],
    settings: EnhancementSettings,
    readers: tuple[Reader, Reader],
) -> Iterator[Mixture]:
    """Noisy mixtures of one part: kinds of noise and ratios take turns, recordings are drawn.

    Args:
        part: ``train``, ``dev`` or ``test``.
        speech: The part's speech.
        noise: The part's noise.
        settings: Config of the stage.
        readers: Of the speech, and of the noise.
    """
    test, count = part == "test", getattr(settings, part)
    speakers = settings.test_speakers if test else settings.speakers
    ratios = settings.test_snr_db if test else settings.snr_db
    chosen = [item for item in usable(speech, settings.seconds) if item.speaker in speakers]
    if not chosen:
        raise DaisyError(
            f"no recording of {', '.join(speakers)} in {part} lasts {settings.seconds[0]:g} to "
            f"{settings.seconds[1]:g} s",
            fix="Change data.mixtures.seconds or the speakers of data.mixtures.enhancement",
        )
    rng = generator(settings.seed, "enhancement", part)
    order = np.concatenate([rng.permutation(len(chosen)) for _ in range(-(-count // len(chosen)))])[:count]
    kinds = sorted({item.speaker for item in noise})
    for place, index in enumerate(order):
        item, kind = chosen[index], kinds[place % len(kinds)]
        snr = ratios[place // len(kinds) % len(ratios)]
        wave = readers[0](item)
        rng = generator(settings.seed, "enhancement", part, place)
        sounds = [sound for sound in noise if sound.speaker == kind]
        sound = sounds[int(rng.integers(len(sounds)))]
        mixed = mix(wave, excerpt(readers[1](sound), len(wave), rng), snr)
        source = f"{item.id} + {sound.id} at {snr:g} dB"
        yield Mixture(f"{place:05d}-{kind}-{snr:g}dB", item.speaker, source, mixed.wave, {"clean": mixed.scale * wave})


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="table of the embedded corpus; audio/ beside it")
    parser.add_argument("--noise", type=Path, required=True, help="table of the noise corpus; likewise")
    parser.add_argument("--table", type=Path, required=True, help="output: table of the recordings; audio/ beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(EnhancementSettings, arguments.settings)
    parts = partition(read_table(arguments.speech), settings.splits)
    noise = read_table(arguments.noise)
    readers = Reader(arguments.speech), Reader(arguments.noise, keep=True)

    def make(part: str) -> Iterator[Mixture]:
        own = [item for item in noise if item.split == part]
        return noisy_mixtures(part, parts[part], own, settings, readers)

    write_corpus(arguments.table, settings, "noisy", make)


if __name__ == "__main__":
    stage.run(main)
