"""`daisy check`: whether the numbers of a run, finished or not, are what they should be."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SUMMARY = "Hold the numbers of a run against bounds, stage by stage: pass, doubtful, or wrong with the likely cause."
EXAMPLES = ("daisy check results/mini", "daisy check results/paper --json")
WRONG = 4
"""The exit status if a number is wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="folder of a run, finished or not")
    parser.add_argument("--json", action="store_true", help="for programs: one object per number, with its bounds")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings.

    Returns:
        4 if a number is wrong, else 0.
    """
    import dataclasses

    from daisy.report.gate_list import GATES
    from daisy.report.gates import check, render
    from daisy.report.run_folder import RunFolder

    findings = check(RunFolder(arguments.folder), GATES)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(item) for item in findings], indent=2))
    else:
        print(render(findings))
    return WRONG if any(item.verdict == "wrong" for item in findings) else 0
