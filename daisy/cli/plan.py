"""`daisy plan`: what a run would do, why, and for how long."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from daisy.errors import DaisyError

SUMMARY = "Say which stages a run would do and why, before anything runs."
EXAMPLES = (
    "daisy plan",
    "daisy plan --configfile my.yaml --cores 32 --gpus 8",
    "daisy plan ablation",
    "daisy plan --compare",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("targets", nargs="*", help="rules or files, as for snakemake (default: the whole reproduction)")
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help="files laid over config/config.yaml")
    parser.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="(default: Snakefile)")
    parser.add_argument("--cores", type=int, default=2, help="cores of the run (default: 2)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of the run, as `--resources gpu=8` of snakemake")
    parser.add_argument("--json", action="store_true", help="for programs: one object per job")
    parser.add_argument(
        "--compare",
        choices=("seconds", "cpu"),
        nargs="?",
        const="seconds",
        help="of a run that is done: what a plan by other runs' records would have said, beside what it took, "
        "in seconds by the clock (or of processors, which a busy machine does not lengthen)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; 1 if a fault keeps the run from working."""
    import dataclasses
    import sys

    from daisy.workflow import comparison
    from daisy.workflow.layers import check_keys
    from daisy.workflow.plan import Asked, plan
    from daisy.workflow.planned import Machine, render

    if not arguments.snakefile.exists():
        raise DaisyError("there is no workflow here", file=arguments.snakefile, fix="Go to daisy's own folder")
    # Snakemake's own words for a file that is no YAML name neither file nor line.
    check_keys(arguments.configfile)
    if arguments.cores < 1:
        raise DaisyError(f"--cores {arguments.cores}: that runs nothing", fix="Give one core at least")
    if arguments.gpus < 0:
        raise DaisyError(f"--gpus {arguments.gpus}: there is no such number of GPUs", fix="Give 0 or more")
    asked = Asked(arguments.snakefile, arguments.configfile, arguments.targets)
    machine = Machine(arguments.cores, arguments.gpus)
    if arguments.compare:
        compared, count = comparison.compare(asked, machine, arguments.compare)
        told = json.dumps([dataclasses.asdict(job) for job in compared], indent=2)
        print(told if arguments.json else comparison.render(compared, count))
        return 0
    planned = plan(asked, machine)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(job) for job in planned.jobs], indent=2))
        print("".join(f"{fault}\n" for fault in planned.faults), end="", file=sys.stderr)
    else:
        print(render(planned))
    return int(any(fault.fatal for fault in planned.faults))
