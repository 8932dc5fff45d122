"""`daisy efficiency`: what a run's jobs asked for and what they used."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "Say per rule what time, memory and cores a run's jobs asked for, and what they used."
EXAMPLES = ("daisy efficiency", "daisy efficiency results/paper")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument(
        "run_folder", metavar="run", type=Path, nargs="?", default=Path("results/mini"), help="(default: results/mini)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    from daisy.workflow.efficiency import efficiency, render

    print(render(efficiency(arguments.run_folder)))
