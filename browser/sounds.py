"""Make the noise that ships with the page, from the Debian packages of the embedded speech.

python browser/sounds.py .cache/debian daisy/page/sounds
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from daisy.common import audio
from daisy.common.seeds import generator
from daisy.corpora import debian, embedded, mixing

SECONDS = 8
MUSIC, PIECE = "asterisk-moh-opsound-wav", "macroform-cold_day.wav"
FROM = 20
"""Where the music begins, in seconds: the piece fades in."""

PACKAGES = [name for name in embedded.SPEECH if name.startswith("asterisk")]
VOICES, PROMPTS, SEED = 8, 12, 1337


def voice(files: list[Path], chance: np.random.Generator) -> np.ndarray:
    """A speaker's prompts one after the other, in random order."""
    waves = (embedded.decode(files[index]) for index in chance.permutation(len(files))[:PROMPTS])
    return np.concatenate([wave for wave in waves if mixing.power(wave) > mixing.SILENT])


def main(cache: Path, out: Path) -> None:
    """Write `music.flac` and `babble.flac`."""
    root = debian.fetch([*PACKAGES, MUSIC], cache)
    samples = SECONDS * audio.SAMPLE_RATE
    piece = embedded.decode(root / embedded.MUSIC[MUSIC] / PIECE)[FROM * audio.SAMPLE_RATE :][:samples]
    audio.write(out / "music.flac", piece)
    chance = generator(SEED, "babble of the page")
    speakers = [sorted((root / embedded.SPEECH[name]).rglob("*.g722")) for name in PACKAGES]
    voices = [voice(speakers[number % len(speakers)], chance) for number in range(VOICES)]
    audio.write(out / "babble.flac", mixing.babble(voices, samples))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
