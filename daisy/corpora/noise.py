"""Prepare the noise corpus: music, and babble mixed from voices that no task tests on.

Music is the embedded corpus's, whole pieces divided over train, dev and test. Babble sums voices of
speakers with too few recordings for the SID task, which no other task tests on either; train, dev and
test babble have different speakers.
"""

from __future__ import annotations

import collections
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from daisy.common import audio, spent, stage
from daisy.common.seeds import generator
from daisy.corpora.mixing import babble
from daisy.corpora.settings import NoiseSettings
from daisy.corpora.table import Recording, read_table, write_table
from daisy.errors import DaisyError

ONE_IN = {"test": 3, "dev": 5}
"""One in so many pieces, and speakers of babble, is for test or dev; the rest is for training."""


def divide(names: Sequence[str], seed: int, what: str, fix: str) -> dict[str, list[str]]:
    """Divide `names` over train, dev and test by seed, at least one each; five make 3, 1 and 1.

    Raises:
        DaisyError: if there are fewer than three.
    """
    if len(names) < 3:
        raise DaisyError(f"{len(names)} {what} cannot be divided over train, dev and test", fix=fix)
    order = [sorted(names)[index] for index in generator(seed, "noise", what).permutation(len(names))]
    parts = {}
    for part, one_in in ONE_IN.items():
        count = max(1, len(names) // one_in)
        parts[part], order = sorted(order[:count]), order[count:]
    return {"train": sorted(order), **parts}


def music(recordings: Sequence[Recording], settings: NoiseSettings, source: Path, out: Path) -> Iterator[Recording]:
    """Copy the pieces of music, so that the corpus is one folder."""
    pieces = {item.speaker: item for item in recordings if not item.speech}
    fix = "Add a package of music to data.packages, or take music out of data.noise.kinds"
    for part, names in divide(list(pieces), settings.seed, "pieces of music", fix).items():
        for name in names:
            new = f"music/{name.removeprefix('music-')}"
            (out / "music").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / f"{pieces[name].id}.flac", out / f"{new}.flac")
            yield Recording(new, pieces[name].samples, "music", split=part, source=pieces[name].id)


def babble_speakers(recordings: Sequence[Recording], settings: NoiseSettings) -> dict[str, list[str]]:
    """The speakers of each split's babble: those with too few recordings for SID, divided by seed."""
    counts = collections.Counter(item.speaker for item in recordings if item.speech)
    few = [speaker for speaker, count in counts.items() if count < settings.sid_min_recordings]
    fix = "Add packages with more speakers to data.packages, or take babble out of data.noise.kinds"
    return divide(few, settings.seed, "speakers for babble", fix)


def _voice(waves: Mapping[str, np.ndarray], chance: np.random.Generator) -> np.ndarray:
    """A speaker's recordings one after the other in random order, from a random place on."""
    names = list(waves)
    wave = np.concatenate([waves[names[index]] for index in chance.permutation(len(names))])
    return np.roll(wave, int(chance.integers(len(wave))))


def babbles(recordings: Sequence[Recording], settings: NoiseSettings, source: Path, out: Path) -> Iterator[Recording]:
    """Mix the babble recordings. A split with fewer speakers than voices lets some speak twice at once."""
    samples = round(settings.seconds * audio.SAMPLE_RATE)
    for part, speakers in babble_speakers(recordings, settings).items():
        waves = {
            speaker: {
                item.id: audio.read(source / f"{item.id}.flac", samples=item.samples).numpy()
                for item in sorted(recordings, key=lambda item: item.id)
                if item.speaker == speaker
            }
            for speaker in speakers
        }
        for number in range(settings.tracks):
            chance = generator(settings.seed, "babble", part, number)
            order = chance.permutation(len(speakers))
            heard = [speakers[order[place % len(order)]] for place in range(settings.voices)]
            name = f"babble/{part}-{number:02d}"
            audio.write(out / f"{name}.flac", babble([_voice(waves[speaker], chance) for speaker in heard], samples))
            yield Recording(name, samples, "babble", split=part, source=" ".join(sorted(set(heard))))


MAKERS = {"music": music, "babble": babbles}
"""What makes each kind of noise."""


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="table of the embedded corpus; audio/ beside it")
    parser.add_argument("--audio", type=Path, required=True, help="output: folder of FLAC files")
    parser.add_argument("--table", type=Path, required=True, help="output: table of the recordings; speaker = kind")
    arguments = parser.parse_args(argv)
    settings = stage.settings(NoiseSettings, arguments.settings)
    embedded = read_table(arguments.speech)
    source = arguments.speech.parent / "audio"
    with spent.part("s of audio", len(settings.kinds) * settings.tracks * settings.seconds):
        made = [item for kind in settings.kinds for item in MAKERS[kind](embedded, settings, source, arguments.audio)]
    write_table(arguments.table, made)
    minutes = sum(item.samples for item in made) / audio.SAMPLE_RATE / 60
    print(f"noise: {len(made)} recordings of {', '.join(settings.kinds)}, {minutes:.1f} minutes")


if __name__ == "__main__":
    stage.run(main)
