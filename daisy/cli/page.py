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
    parser.add_argument(
        "--heads",
        type=Path,
        nargs="*",
        metavar="MODEL",
        help="trained models of asr and sid, to show what is heard (default: those that the bundle's run has)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from daisy.library.page import write
    from daisy.library.shipped import read

    checkpoint, files = read(arguments.bundle), arguments.heads
    if files is None:
        files = heads_of(arguments.bundle)
    written = write(checkpoint, arguments.out, arguments.bundle.stem, files)
    bits = "16" if written.half else "32"
    heard = f"hears with {', '.join(written.tasks)}" if written.tasks else "no head to hear with"
    print(
        f"{arguments.out}: {written.size / 1e6:.1f} MB, weights of {bits} bits "
        f"(16 move an entropy by at most {written.moved:.1g} nats), {heard}; open {arguments.out / 'index.html'}"
    )


def heads_of(bundle: Path) -> list[Path]:
    """The trained models that lie with a bundle: those of its run, or those that ship."""
    from daisy.library.heads import of_run
    from daisy.library.shipped import heads, shipped

    found = heads(str(bundle)) if shipped(bundle) else of_run(bundle.absolute().parent.parent)
    return [found[task] for task in sorted(found)]
