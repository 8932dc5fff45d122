"""Measure the parts, write their tables, and the page from the tables: `python -m benchmarks`.

python -m benchmarks                                          # everything, on the CPU
python -m benchmarks --only forward,exits --repeat 3 --layers 12 --threads 2
python -m benchmarks --device cuda                            # what a GPU runs; benchmarks/gpu.sh has the short way
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import page, table
from benchmarks.machine import describe
from benchmarks.options import Options
from daisy.common import stage
from daisy.errors import DaisyError

PARTS = {
    "forward": "benchmarks.forward",
    "exits": "benchmarks.exits",
    "batches": "benchmarks.mixed",
    "dump": "benchmarks.dump",
    "training": "benchmarks.training",
    "downstream": "benchmarks.downstream",
    "stages": "benchmarks.stages",
    "grid": "benchmarks.grid",
    "growth": "benchmarks.growth",
    "agreement": "benchmarks.agreement",
    "graph": "benchmarks.graph",
}
"""The parts, and where each is measured."""

ON_GPU = ("forward", "exits", "batches", "dump", "training", "downstream", "stages", "grid")
"""The parts that a GPU runs too."""

ON_CPU = tuple(part for part in PARTS if part != "stages")
"""The parts that a CPU runs if none is named; the stages at this size take it an hour."""

RUN = Path("results/mini")
"""The run that is taken if it is there and no other one is named."""


def measure(part: str, options: Options, folder: Path) -> None:
    """Measure a part, saying each row, and write its table; a part that finds nothing to measure leaves none.

    The table is written with every row, so that a part that takes too long leaves what it had.
    """
    begin = time.perf_counter()
    module = importlib.import_module(PARTS[part])
    rows = []
    for row in module.measure(options):
        rows.append(row)
        print(f"{part}: {table.line(row)}", flush=True)
        table.write(folder, part, module.COLUMNS, rows)
        if len(rows) == 1:
            table.note_machine(folder, part, describe(options, part))
    print(f"{part}: {time.perf_counter() - begin:.0f} s", flush=True)


def parse(argv: Sequence[str] | None) -> tuple[Options, list[str], Path]:
    """Options, parts and the folder of the tables, from the command line."""
    own = Options()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"parts, separated by commas, of {', '.join(PARTS)}")
    parser.add_argument("--repeat", type=int, default=own.repeat, help=f"timed rounds (default: {own.repeat})")
    parser.add_argument("--layers", type=int, default=own.shape.layers, help="K (default: 12)")
    parser.add_argument("--seconds", type=float, default=own.seconds, help="of the recording (default: 10)")
    parser.add_argument("--threads", type=int, default=own.threads, help=f"CPU threads (default: {own.threads})")
    parser.add_argument("--device", choices=["cpu", "cuda"], default=own.device)
    parser.add_argument("--seed", type=int, default=own.seed, help="of weights and recordings (default: 0)")
    parser.add_argument("--run", type=Path, help=f"folder of a finished run (default: {RUN}, if it is there)")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too, which takes a minute")
    parser.add_argument("--out", type=Path, help=f"folder of the tables (default: {page.MEASURED}/cpu or /gpu)")
    given = parser.parse_args(argv)
    parts = given.only.split(",") if given.only else list(ON_CPU if given.device == "cpu" else ON_GPU)
    for part in parts:
        if part not in PARTS or (given.device != "cpu" and part not in ON_GPU):
            parser.error(f"no part {part} on {given.device}")
    run = given.run or (RUN if RUN.exists() else None)
    names = ("repeat", "seconds", "threads", "device", "seed", "compile")
    options = Options(
        shape=dataclasses.replace(own.shape, layers=given.layers),
        run=run,
        **{name: getattr(given, name) for name in names},
    )
    return options, parts, given.out or page.MEASURED / page.FOLDERS[given.device]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the page if the tables are where the page is made from."""
    options, parts, folder = parse(argv)
    stage.use_threads(options.threads)
    for part in parts:
        measure(part, options, folder)
    if folder.parent == page.MEASURED:
        page.main([])


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    try:
        main()
    except DaisyError as error:
        sys.exit(f"error: {error}")
