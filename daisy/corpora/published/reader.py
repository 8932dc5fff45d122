"""What reads a published corpus: a module of its own for each, and one command line for the stages of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.corpora.published.catalogue import CORPORA
from daisy.corpora.published.tree import Listed, Made, Tree, answer, in_place, make_all, write_corpus


@dataclasses.dataclass(frozen=True)
class Reader:
    """How a published corpus is read.

    Attributes:
        name: Of the corpus, in the catalogue.
        settings: The dataclass of what the config says about it.
        read: Lists the corpus, by those settings.
        maker: Of settings and ``audio/``, what tries or makes a recording.
    """

    name: str
    settings: type[Any]
    read: Callable[[Any], Tree]
    maker: Callable[[Any, Path], Callable[[Listed], Made]] = lambda _, __: in_place


def run_reader(reader: Reader, argv: Sequence[str] | None) -> None:
    """Read a published corpus and write it as the pipeline reads corpora.

    Args:
        reader: Of the corpus.
        argv: The command line.
    """
    title = CORPORA[reader.name].title
    parser = stage.parser(f"Read {title} where it lies.", threads=True)
    parser.add_argument("--table", type=Path, required=True, help="output: table; audio/ and dropped.csv beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(reader.settings, arguments.settings)
    tree = reader.read(settings)
    made, faults = make_all(
        tree.listed, reader.maker(settings, arguments.table.parent / "audio"), title, max(1, arguments.threads)
    )
    faults = [*tree.faults, *faults]
    answer(title, faults, settings.faults)
    write_corpus(arguments.table, title, tree, made, faults, reader.name)
