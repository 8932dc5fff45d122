"""Read Speech Commands where it lies."""

from __future__ import annotations

from collections.abc import Sequence

from daisy.common import stage
from daisy.corpora.published.reader import run_reader
from daisy.corpora.published.speech_commands import READER


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    run_reader(READER, argv)


if __name__ == "__main__":
    stage.run(main)
