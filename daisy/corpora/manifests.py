"""Write a task's manifests: which recordings of its corpus it trains on, is chosen by and is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daisy.common import spent, stage
from daisy.common.audio import SAMPLE_RATE
from daisy.common.files import write_csv
from daisy.corpora.choice import choose, left_out, told
from daisy.corpora.partition import PARTS, partition
from daisy.corpora.settings import ManifestsSettings
from daisy.corpora.table import Recording, read_table
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.errors import DaisyError


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


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="table of the corpus; audio/ lies beside it")
    parser.add_argument("--out", type=Path, required=True, help="output: folder with <split>.tsv and .csv")
    parser.add_argument("--summary", type=Path, required=True, help="output: recordings, speakers, minutes per split")
    arguments = parser.parse_args(argv)
    settings = stage.settings(ManifestsSettings, arguments.settings)
    counted = spent.Count("recordings")
    try:
        recordings = read_table(arguments.corpus)
        parts = partition(recordings, settings.splits)
        chosen = choose(parts, settings)
    except DaisyError as error:
        raise DaisyError(error.problem, file=error.file or arguments.corpus, fix=error.fix) from None
    audio = arguments.corpus.parent / "audio"
    unused = left_out(parts, chosen, settings)
    rows, listed = [], []
    for part in PARTS:
        write_manifest(arguments.out / f"{part}.tsv", audio, [utterance(item) for item in chosen[part]])
        rows.append(summary(settings.task, part, chosen[part], len(unused[part])))
        listed += [{"id": item.id, "speaker": item.speaker, "split": part, "reason": why} for item, why in unused[part]]
        print(f"{settings.task} {part}: {len(chosen[part])} recordings{told(unused[part])}")
    write_csv(arguments.summary.with_name("left_out.csv"), ("id", "speaker", "split", "reason"), listed)
    write_csv(arguments.summary, list(rows[0]), rows)
    counted.add(len(recordings))


if __name__ == "__main__":
    stage.run(main)
