"""Join the labels that several jobs made, and count every class: the targets of the exit branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from daisy.common import spent, stage
from daisy.common.files import atomic
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.errors import DaisyError
from daisy.targets.km import read_lines, write_dictionary
from daisy.targets.settings import JoinSettings


def lines_of(manifest: Manifest, shards: Sequence[Path]) -> Iterator[str]:
    """The lines of all shards, each shard found to be as long as its part of the manifest.

    Raises:
        DaisyError: if one is missing, or is of another length.
    """
    for rank, path in enumerate(shards):
        yield from read_lines(path, len(manifest.part(rank, len(shards))))


def join(manifest: Manifest, shards: Sequence[Path], out: Path, classes: int) -> np.ndarray:
    """Write all labels to one file, a line at a time; how often each of `classes` occurs, if only never.

    Raises:
        DaisyError: if a line holds anything but numbers of classes, or a shard does not fit the manifest.
    """
    counts = np.zeros(classes, np.int64)
    with atomic(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for number, line in enumerate(lines_of(manifest, shards), start=1):
            try:
                found = np.bincount(np.array(line.split(), dtype=np.int64), minlength=len(counts))
            except ValueError as error:
                raise DaisyError(f"label {number} of {out.name}: {error}", file=out, fix="Make them again") from None
            if len(found) > classes:
                problem = f"utterance {number} has the class {len(found) - 1}, but there are {classes}"
                raise DaisyError(problem, file=out, fix="Make the labels again with this model and these centroids")
            counts += found
            file.write(line + "\n")
    return counts


def _of_head(checkpoint: Path | None) -> int:
    """The number of classes of a checkpoint's pre-training head."""
    from daisy.targets.head import load_with_head

    return load_with_head(checkpoint)[1].classes


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--labels", type=Path, nargs="+", required=True, help="labels (.km), part by part")
    parser.add_argument("--checkpoint", type=Path, help="HuBERT whose head made them (needed where classes is 0)")
    parser.add_argument("--out", type=Path, required=True, help="output: all labels (.km)")
    parser.add_argument("--dictionary", type=Path, required=True, help="output: id and count of every class")
    arguments = parser.parse_args(argv)
    settings = stage.settings(JoinSettings, arguments.settings)
    classes = settings.classes or _of_head(arguments.checkpoint)
    manifest = read_manifest(arguments.manifest)
    with spent.part("s of audio", manifest.seconds):
        counts = join(manifest, arguments.labels, arguments.out, classes)
    write_dictionary(arguments.dictionary, counts)
    rare = int((counts == 0).sum())
    print(f"targets: {counts.sum():,} frames of {len(counts)} classes" + (f", {rare} of them never" if rare else ""))


if __name__ == "__main__":
    stage.run(main)
