"""The options that say where an utterance may stop, shared by the subcommands that run a model."""

from __future__ import annotations

import argparse
import math
from typing import Any

from daisy.errors import DaisyError
from daisy.exits.candidates import STRATEGIES


def add_stopping(parser: argparse.ArgumentParser) -> None:
    """Add ``--rho --strategy --task``, ``--threshold``, ``--layer`` and ``--budget``."""
    group = parser.add_argument_group("where to stop (default: at the last layer)")
    group.add_argument("--rho", type=float, help="scale of a calibrated task's threshold, with --strategy and --task")
    group.add_argument("--strategy", choices=STRATEGIES, help="which layers are candidates")
    group.add_argument("--task", help="whose calibration")
    group.add_argument("--threshold", type=float, metavar="NATS", help="an entropy; every layer is a candidate")
    group.add_argument("--layer", type=int, metavar="K", help="always at layer K")
    group.add_argument("--budget", type=float, metavar="SHARE", help="of the full model's arithmetic, with --task")


def stopping(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments that a model's call takes for these options.

    Raises:
        DaisyError: if the threshold is infinite, for which JSON has no number and a figure no place.
    """
    if arguments.threshold == math.inf:
        raise DaisyError("--threshold is inf", fix="Give a number of nats; 100 stops everywhere, too")
    return {name: getattr(arguments, name) for name in ("rho", "strategy", "task", "threshold", "layer", "budget")}
