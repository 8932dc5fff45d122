"""Split the corpora into the manifests of every task.

Every recording of the embedded corpus belongs to one part, train, dev or test, drawn by seed within
each speaker; all tasks keep to it, so what is tested in one task is trained on nowhere, not even in
the branches or the pre-training.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from daisy import stage
from daisy.audio import SAMPLE_RATE
from daisy.corpora.table import Recording, read_table
from daisy.errors import DaisyError
from daisy.files import write_csv
from daisy.manifest import Utterance, write_manifest
from daisy.seeds import generator

PARTS = ("train", "dev", "test")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Config of this stage.

    Attributes:
        seed: Seed of the draw.
        dev: Share of each speaker's recordings in dev.
        test: Share of each speaker's recordings in test.
        sid_min_recordings: Speakers with fewer recordings are not in the SID task.
        max_seconds: Longer recordings are left out of the tasks (not of the branch training).
        max_per_speaker: At most so many recordings of a speaker are used; 0 for all.
    """

    seed: int
    dev: float
    test: float
    sid_min_recordings: int
    max_seconds: float
    max_per_speaker: int = 0


def partition(recordings: Sequence[Recording], settings: Settings) -> dict[str, list[Recording]]:
    """Divide speech into train, dev and test, speaker by speaker.

    A corpus that fixes its own splits keeps them.
    """
    by_speaker: dict[str, list[Recording]] = collections.defaultdict(list)
    parts: dict[str, list[Recording]] = {part: [] for part in PARTS}
    for recording in sorted(recordings, key=lambda item: item.id):
        if recording.split:
            parts[recording.split].append(recording)
        elif not recording.speaker.startswith("music-"):
            by_speaker[recording.speaker].append(recording)
    for speaker, items in sorted(by_speaker.items()):
        order = generator(settings.seed, "partition", speaker).permutation(len(items))
        if settings.max_per_speaker:
            order = order[: settings.max_per_speaker]
        dev = round(len(order) * settings.dev)
        test = round(len(order) * settings.test)
        for place, index in enumerate(order):
            part = "dev" if place < dev else "test" if place < dev + test else "train"
            parts[part].append(items[index])
    return parts


def sid_speakers(parts: dict[str, list[Recording]], least: int) -> set[str]:
    """Speakers with at least `least` recordings, and at least one in every part."""
    counts = collections.Counter(item.speaker for items in parts.values() for item in items)
    present = set.intersection(*({item.speaker for item in parts[part]} for part in PARTS))
    return {speaker for speaker, count in counts.items() if count >= least} & present


def _write(path: Path, audio: Path, recordings: Iterable[Recording]) -> dict[str, object]:
    chosen = sorted(recordings, key=lambda item: item.id)
    write_manifest(
        path,
        audio,
        [
            Utterance(
                item.id,
                f"{item.id}.flac",
                item.samples,
                item.speaker,
                item.text,
                tuple(name for name in item.references.split(";") if name),
            )
            for item in chosen
        ],
    )
    return {
        "corpus": path.parent.name,
        "split": path.stem,
        "recordings": len(chosen),
        # A mixture of speakers names them all.
        "speakers": len({name for item in chosen for name in item.speaker.split("+")}),
        "minutes": round(sum(item.samples for item in chosen) / SAMPLE_RATE / 60, 2),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="table of the speech corpus; audio/ lies beside it")
    parser.add_argument("--commands", type=Path, required=True, help="table of the transcribed corpus; likewise")
    parser.add_argument("--enhancement", type=Path, required=True, help="table of the noisy mixtures; likewise")
    parser.add_argument(
        "--separation", type=Path, required=True, help="table of the mixtures of two speakers; likewise"
    )
    parser.add_argument("--out", type=Path, required=True, help="output: folder with <corpus>/<split>.tsv and .csv")
    parser.add_argument("--summary", type=Path, required=True, help="output: recordings, speakers, minutes per split")
    arguments = parser.parse_args(argv)
    settings = stage.settings(Settings, arguments.settings)
    parts = partition(read_table(arguments.speech), settings)
    longest = settings.max_seconds * SAMPLE_RATE
    speakers = sid_speakers(parts, settings.sid_min_recordings)
    if len(speakers) < 2:
        raise DaisyError(
            f"{len(speakers)} speakers have at least {settings.sid_min_recordings} recordings",
            file=arguments.speech,
            fix="Lower data.splits.sid_min_recordings, or add recordings",
        )
    commands = partition(read_table(arguments.commands), settings)
    mixtures = {"se": arguments.enhancement, "ss": arguments.separation}
    mixed = {task: partition(read_table(table), settings) for task, table in mixtures.items()}
    rows = []
    for part in PARTS:
        speech_audio = arguments.speech.parent / "audio"
        if part != "test":
            rows.append(_write(arguments.out / "speech" / f"{part}.tsv", speech_audio, parts[part]))
        sid = [item for item in parts[part] if item.speaker in speakers and item.samples <= longest]
        rows.append(_write(arguments.out / "sid" / f"{part}.tsv", speech_audio, sid))
        asr = [item for item in commands[part] if item.text and item.samples <= longest]
        rows.append(_write(arguments.out / "asr" / f"{part}.tsv", arguments.commands.parent / "audio", asr))
        for task, table in mixtures.items():
            rows.append(_write(arguments.out / task / f"{part}.tsv", table.parent / "audio", mixed[task][part]))
    write_csv(arguments.summary, ("corpus", "split", "recordings", "speakers", "minutes"), rows)


if __name__ == "__main__":
    stage.run(main)
