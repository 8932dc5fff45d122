"""`daisy convert`: from any known format to another."""

from __future__ import annotations

import argparse
from pathlib import Path

from daisy.cli.heads import add_heads, heads
from daisy.errors import DaisyError

SUMMARY = "Convert a checkpoint to another format, bit for bit."
EXAMPLES = (
    "daisy convert hubert_base_ls960.pt hubert_base.safetensors",
    "daisy convert daisy.safetensors daisy.pt --format daisy",
    "daisy convert daisy.pt my_hubert/ --format transformers",
)
FORMATS = ("daisy", "safetensors", "transformers")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="IN", help="file, transformers folder, or tiny, which ships")
    parser.add_argument("out", type=Path, metavar="OUT", help="file; a folder for transformers")
    add_heads(parser)
    parser.add_argument(
        "--format", choices=FORMATS, help="default: safetensors for a name that ends so, else daisy for .pt"
    )


def run(arguments: argparse.Namespace) -> None:
    """Convert."""
    from daisy.hubert.checkpoint import save
    from daisy.library.shipped import read

    form = arguments.format or {".safetensors": "safetensors", ".pt": "daisy"}.get(arguments.out.suffix.lower())
    if form is None:
        raise DaisyError("its ending tells no format", file=arguments.out, fix=f"Give --format {'|'.join(FORMATS)}")
    if arguments.out.exists() and arguments.out.resolve() == arguments.checkpoint.resolve():
        raise DaisyError("input and output are the same", file=arguments.out, fix="Choose another name")
    checkpoint = read(arguments.checkpoint, heads(arguments))
    save(arguments.out, checkpoint, form)
    left_out = form == "daisy" and checkpoint.head is not None
    print(
        f"{arguments.out}: {form}" + (", without the pre-training head, which it has no place for" if left_out else "")
    )
