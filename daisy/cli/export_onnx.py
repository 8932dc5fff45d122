"""`daisy export-onnx`: the model for devices without torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from daisy.cli.heads import add_heads, heads

SUMMARY = "Write a model as ONNX segments that ONNX Runtime runs with a real early exit."
EXAMPLES = (
    "daisy export-onnx daisy.safetensors daisy-onnx/",
    "daisy export-onnx daisy.safetensors daisy-int8/ --int8",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("checkpoint", type=Path, help="file, transformers folder, or tiny, which ships")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    add_heads(parser)
    parser.add_argument("--int8", action="store_true", help="quantise the weights of linear layers to 8 bits")


def run(arguments: argparse.Namespace) -> None:
    """Export."""
    from daisy.library.onnx_export import export
    from daisy.library.shipped import read

    export(read(arguments.checkpoint, heads(arguments)), arguments.out, int8=arguments.int8)
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(f"{arguments.out}: {size / 2**20:.1f} MiB")
