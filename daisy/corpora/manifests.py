"""Write a task's manifests: which recordings of its corpus it trains on, is chosen by and is tested on."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.audio import SAMPLE_RATE
from daisy.common.files import write_csv
from daisy.corpora.partition import PARTS, partition
from daisy.corpora.settings import ManifestsSettings
from daisy.corpora.table import Recording, read_table
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.errors import DaisyError


def known_speakers(parts: dict[str, list[Recording]], least: int) -> set[str]:
    """Speakers with at least `least` recordings, and at least one in every part."""
    counts = collections.Counter(item.speaker for items in parts.values() for item in items)
    present = set.intersection(*({item.speaker for item in parts[part]} for part in PARTS))
    return {speaker for speaker, count in counts.items() if count >= least} & present


def choose(parts: dict[str, list[Recording]], settings: ManifestsSettings) -> dict[str, list[Recording]]:
    """The recordings of every part that the task uses, sorted by id.

    Raises:
        DaisyError: if speakers are asked for and fewer than two have enough recordings.
    """
    speakers = None
    if settings.min_recordings:
        speakers = known_speakers(parts, settings.min_recordings)
        if len(speakers) < 2:
            raise DaisyError(
                f"{len(speakers)} speakers have at least {settings.min_recordings} recordings",
                fix="Lower data.splits.sid_min_recordings, or add recordings",
            )
    longest = settings.max_seconds * SAMPLE_RATE or float("inf")
    return {
        part: [
            item
            for item in sorted(items, key=lambda item: item.id)
            if item.samples <= longest
            and (speakers is None or item.speaker in speakers)
            and (item.text or not settings.transcribed)
        ]
        for part, items in parts.items()
    }


def utterance(item: Recording) -> Utterance:
    """A recording as a manifest has it."""
    references = tuple(name for name in item.references.split(";") if name)
    return Utterance(item.id, item.path, item.samples, item.speaker, item.text, references)


def summary(task: str, part: str, recordings: Sequence[Recording], left_out: int) -> dict[str, object]:
    """Recordings, speakers and minutes of a part, and how many more the corpus has for it."""
    return {
        "corpus": task,
        "split": part,
        "recordings": len(recordings),
        # A mixture of speakers names them all.
        "speakers": len({name for item in recordings for name in item.speaker.split("+")}),
        "minutes": round(sum(item.samples for item in recordings) / SAMPLE_RATE / 60, 2),
        "left_out": left_out,
    }


def _why(left_out: object, settings: ManifestsSettings) -> str:
    """How many recordings of the corpus are not used, and what can be the reason."""
    rules = [f"longer than {settings.max_seconds:g} s"] * bool(settings.max_seconds)
    rules += [f"speakers with under {settings.min_recordings}, or none in some split"] * bool(settings.min_recordings)
    rules += ["without a text"] * settings.transcribed
    return f", {left_out} left out ({', or '.join(rules)})" if left_out else ""


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="table of the corpus; audio/ lies beside it")
    parser.add_argument("--out", type=Path, required=True, help="output: folder with <split>.tsv and .csv")
    parser.add_argument("--summary", type=Path, required=True, help="output: recordings, speakers, minutes per split")
    arguments = parser.parse_args(argv)
    settings = stage.settings(ManifestsSettings, arguments.settings)
    try:
        parts = partition(read_table(arguments.corpus), settings.splits)
        chosen = choose(parts, settings)
    except DaisyError as error:
        raise DaisyError(error.problem, file=error.file or arguments.corpus, fix=error.fix) from None
    for part in PARTS:
        audio = arguments.corpus.parent / "audio"
        write_manifest(arguments.out / f"{part}.tsv", audio, [utterance(item) for item in chosen[part]])
    rows = [summary(settings.task, part, chosen[part], len(parts[part]) - len(chosen[part])) for part in PARTS]
    write_csv(arguments.summary, list(rows[0]), rows)
    for row in rows:
        print(f"{settings.task} {row['split']}: {row['recordings']} recordings" + _why(row["left_out"], settings))


if __name__ == "__main__":
    stage.run(main)
