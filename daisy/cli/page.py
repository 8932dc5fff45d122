"""`daisy page`: early exit in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "Write a web page on which a model hears recordings and stops early, in the browser itself."
EXAMPLES = (
    "daisy page page/",
    "daisy page page/ --bundle results/mini/model/daisy.safetensors",
    "python -m http.server --directory page/      (or open page/index.html from the disk)",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("out", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--bundle", type=Path, default="tiny", help="DAISY checkpoint (default: the shipped one)")


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from daisy.library.page import write
    from daisy.library.shipped import read

    written = write(read(arguments.bundle), arguments.out, arguments.bundle.stem)
    bits = "16" if written.half else "32"
    print(
        f"{arguments.out}: {written.size / 1e6:.1f} MB, weights of {bits} bits "
        f"(16 move an entropy by at most {written.moved:.1g} nats); open {arguments.out / 'index.html'}"
    )
