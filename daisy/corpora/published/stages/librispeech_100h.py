"""Read LibriSpeech's 100 hours with their phones where they lie."""

from __future__ import annotations

from collections.abc import Sequence

from daisy.common import stage
from daisy.corpora.published.librispeech_100h import READER
from daisy.corpora.published.reader import run_reader


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    run_reader(READER, argv)


if __name__ == "__main__":
    stage.run(main)
