# PYTHON_ARGCOMPLETE_OK
"""The command line `daisy`: what it can do, and how it fails."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from daisy import __version__
from daisy.errors import DaisyError

SUBCOMMANDS = (
    "info",
    "convert",
    "extract",
    "exits",
    "budget",
    "export-onnx",
    "page",
    "plan",
    "check",
    "efficiency",
    "data",
    "clean-store",
    "doctor",
)
"""Each is a module of this package with `SUMMARY`, `EXAMPLES`, `add_arguments(parser)` and `run(arguments)`."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; subcommands import torch only when they run."""
    parser = argparse.ArgumentParser(
        prog="daisy", description="Early-exit HuBERT: inspect, convert and run checkpoints.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"daisy {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    for name in SUBCOMMANDS:
        module = importlib.import_module(f"daisy.cli.{name.replace('-', '_')}")
        subparser = subparsers.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog="examples:\n" + "\n".join(f"  {example}" for example in module.EXAMPLES),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def offer_completions(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, if that is who asks, and end; it needs argcomplete."""
    if "_ARGCOMPLETE" in os.environ:
        with contextlib.suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; files may stand on both sides of an option, which argparse does not know of subcommands."""
    arguments, others = parser.parse_known_args(argv)
    given: list[object] = getattr(arguments, getattr(arguments, "files_are", ""), [])
    if others and (not given or any(other.startswith("-") for other in others)):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if others:
        setattr(arguments, arguments.files_are, [*given, *map(type(given[0]), others)])
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 if all went well, 1 for bad input, 2 for a bad command line, 3 if bad recordings were left out, 4 if
        a number of a run is wrong, 130 when interrupted.
    """
    parser = build_parser()
    offer_completions(parser)
    arguments = parsed(parser, argv)
    try:
        return arguments.run(arguments) or 0
    except DaisyError as error:
        print(f"daisy {arguments.subcommand}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        problem = f"{error.filename}: {error.strerror}. Choose another place, or its rights"
        print(f"daisy {arguments.subcommand}: error: {problem}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
