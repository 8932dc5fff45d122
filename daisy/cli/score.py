"""`daisy score`: the MiniSUPERB score of a run's methods."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "Say the MiniSUPERB score of every method of a run, beside published ones."
EXAMPLES = ("daisy score results/paper --anchors anchors.yaml",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="folder of a finished run of all four tasks")
    parser.add_argument(
        "--anchors", type=Path, required=True, help="what FBANK (0) and the best model (1000) score, see docs/superb.md"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the scores."""
    from daisy.common.columns import read_table
    from daisy.evaluation.rows import GridRow
    from daisy.report.superb_score import PUBLISHED, read_anchors, scores
    from daisy.report.wording import cell_label

    anchors = read_anchors(arguments.anchors)
    grid = read_table(GridRow, arguments.folder / "tables/grid.csv")
    lines = [(f"{cell_label(cell)} (this run)", value) for cell, value in scores(grid, anchors)]
    lines += [(f"{name} (published)", value) for name, value in PUBLISHED.items()]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value:5.0f}")
