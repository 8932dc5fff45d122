"""Start one training in several processes, by torch's own launcher, on as many GPUs as there are processes.

    python -m daisy.training.launch --workers 4 -m daisy.branches.train --settings ...

All GPUs are taken at once, before the first process starts, so that two trainings cannot wait for one another's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from torch.distributed.run import main as launch

from daisy.common import gpus
from daisy.errors import DaisyError


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--workers", type=int, required=True, help="processes")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="as compute.device")
    arguments, command = parser.parse_known_args(argv)
    if arguments.device != "cpu" and torch.backends.cuda.is_built():
        gpus.take(arguments.workers)
    launch(["--standalone", "--nproc-per-node", str(arguments.workers), *command])


if __name__ == "__main__":
    try:
        main()
    except DaisyError as error:
        sys.exit(f"error: {error}")
