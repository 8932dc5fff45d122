"""Check a corpus of the user's own, every sample of it, and write its table as the other stages read it.

The audio stays where it lies: ``audio/own`` is a link to it.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.corpora.faults import lines
from daisy.corpora.links import link_roots
from daisy.corpora.own import check, summary
from daisy.corpora.settings import PreparedSettings
from daisy.corpora.table import Recording, write_table

LINK = "own"


def placed(item: Recording) -> Recording:
    """A recording with its files as they are found through the link."""

    def through(name: str) -> str:
        return name if os.path.isabs(name) else f"{LINK}/{name}"

    references = ";".join(through(name) for name in item.references.split(";") if name)
    return dataclasses.replace(item, file=through(item.path), references=references)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--corpus", type=Path, required=True, help="the corpus's recordings.csv; audio/ lies beside it")
    parser.add_argument("--table", type=Path, required=True, help="output: the table; audio/ beside it becomes a link")
    arguments = parser.parse_args(argv)
    stage.settings(PreparedSettings, arguments.settings)
    folder = arguments.corpus.parent
    found = check(folder, decode=True, threads=arguments.threads)
    for line in found.notes.lines():
        print(f"{folder}: {line}")
    for line in lines(found.faults)[:3] if len(found.faults) > 1 else ():
        print(f"{folder}: {line}", file=sys.stderr)
    found.answer()
    link_roots(arguments.table.parent / "audio", {LINK: folder / "audio"})
    write_table(arguments.table, [placed(item) for item in found.recordings])
    print(f"{folder}: {summary(found)}")


if __name__ == "__main__":
    stage.run(main)
