"""`daisy clean-store`: remove what no run uses any more."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "Remove the stages in the store that no run in results/ uses."
EXAMPLES = (
    "daisy clean-store --dry-run",
    "daisy clean-store",
    "daisy clean-store --results /data/results --cache /data/cache",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        help="folder of runs that use the store, beside those in results/; what runs elsewhere use is removed",
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="folder of the store (default: .cache)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def run(arguments: argparse.Namespace) -> None:
    """Remove, or list, the folders."""
    import shutil

    from daisy.errors import DaisyError
    from daisy.workflow.store import unused

    locks = Path(".snakemake/locks")
    if locks.is_dir() and any(locks.iterdir()):
        raise DaisyError("a run is going on here", file=locks, fix="Wait for its end, or run snakemake --unlock")
    total = 0
    for folder in unused(arguments.cache / "store", arguments.results, Path("results")):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        total += size
        print(f"{folder}: {size / 1e6:.1f} MB")
        if not arguments.dry_run:
            shutil.rmtree(folder)
    print(f"{total / 1e6:.1f} MB {'would be' if arguments.dry_run else 'were'} removed")
