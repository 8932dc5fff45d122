"""The argument of commands that read a checkpoint which may not tell its number of attention heads."""

from __future__ import annotations

import argparse

from daisy.errors import DaisyError


def add_heads(parser: argparse.ArgumentParser) -> None:
    """Add ``--heads``."""
    parser.add_argument("--heads", type=int, help="attention heads, for torchaudio's weights of an unpublished width")


def heads(arguments: argparse.Namespace) -> int | None:
    """What was given.

    Raises:
        DaisyError: if it is no positive number.
    """
    given: int | None = arguments.heads
    if given is not None and given < 1:
        raise DaisyError(f"--heads is {given}", fix="Give a positive number")
    return given
