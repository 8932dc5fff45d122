"""The command line that the stages of all published corpora have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daisy import stage
from daisy.published.catalogue import CORPORA
from daisy.published.tree import Listed, Made, Tree, answer, make_all, write_corpus


def run_stage(
    name: str,
    argv: Sequence[str] | None,
    kind: type[Any],
    read: Callable[[Any], Tree],
    maker: Callable[[Any, Path], Callable[[Listed], Made]],
) -> None:
    """Read a published corpus and write it as the pipeline reads corpora.

    Args:
        name: Of the corpus, in the catalogue.
        argv: The command line.
        kind: The stage's settings.
        read: Lists the corpus.
        maker: Of settings and ``audio/``, what tries or makes a recording.
    """
    parser = stage.parser(f"Read {CORPORA[name].title} where it lies.", threads=True)
    parser.add_argument("--table", type=Path, required=True, help="output: table; audio/ and dropped.csv beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(kind, arguments.settings)
    title = CORPORA[name].title
    tree = read(settings)
    made, faults = make_all(
        tree.listed, maker(settings, arguments.table.parent / "audio"), title, max(1, arguments.threads)
    )
    faults = [*tree.faults, *faults]
    answer(title, faults, settings.faults)
    write_corpus(arguments.table, title, tree, made, faults, name)
