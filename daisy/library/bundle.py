"""Put a run's thresholds, training histograms and what thresholds spend beside its branches: one model file to give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.files import read_json
from daisy.errors import DaisyError
from daisy.exits.budget import spending
from daisy.exits.calibration import Calibration
from daisy.exits.signals import ENTROPY
from daisy.features.measured import load_measured
from daisy.hubert.checkpoint import Checkpoint, load, save
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.library.arithmetic import costs
from daisy.library.settings import BundleSettings


def gather(calibrations: Sequence[Path], exits: Sequence[Path], settings: BundleSettings) -> dict[str, Calibration]:
    """The calibrations by task, from one file of each kind per task and rho, in the same order.

    Raises:
        DaisyError: if two files that belong together are of different tasks.
    """
    by_task: dict[str, Calibration] = {}
    for calibration, histogram in zip(calibrations, exits, strict=True):
        made, counted = read_json(calibration), read_json(histogram)
        task = made["task"]
        if counted["task"] != task:
            raise DaisyError(
                f"exits of {counted['task']}, but the calibration is of {task}",
                file=histogram,
                fix="Pass them in order",
            )
        counts = {**by_task[task].counts} if task in by_task else {}
        counts[float(made["rho"])] = tuple(counted["counts"])
        given = {float(rho): tau for rho, tau in settings.absolute.get(task, {}).items()}
        if made["rule"] == "quantile":
            earlier = by_task[task].absolute if task in by_task else None
            given = {**(earlier or {}), float(made["rho"]): made["tau"]}
        by_task[task] = Calibration(
            made["rule"],
            tuple(made["mean_entropy"]),
            given or None,
            settings.q[task],
            counts,
            made.get("signal", ENTROPY),
        )
    return by_task


def with_spending(
    calibrations: Mapping[str, Calibration], entropies: Sequence[Path], checkpoint: Checkpoint, floor: int
) -> Iterator[tuple[str, Calibration]]:
    """The calibrations by task, each with what thresholds spend on its training set.

    Args:
        calibrations: By task.
        entropies: Of the training sets, one file per task in the same order.
        checkpoint: The model with branches.
        floor: The first candidate.

    Raises:
        DaisyError: if a file is missing, damaged, or of a model of other depth.
    """
    for (task, calibration), path in zip(calibrations.items(), entropies, strict=True):
        measured = load_measured(path)
        upstream = EarlyExitHubert(checkpoint, calibration.signal)
        if measured.entropies.shape[1] != upstream.layers:
            problem = f"entropies of {measured.entropies.shape[1]} layers, and the model has {upstream.layers}"
            raise DaisyError(problem, file=path, fix="Pass those of this model")
        asking, full = costs(upstream, measured.frames, floor)
        known = spending(measured.entropies, asking, full, floor)
        yield task, dataclasses.replace(calibration, spending=known)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--calibrations", type=Path, nargs="*", default=[], help="one per task and rho")
    parser.add_argument("--exits", type=Path, nargs="*", default=[], help="training exits, in the same order")
    parser.add_argument("--entropies", type=Path, nargs="*", default=[], help="of training sets, one per task in order")
    parser.add_argument("--out", type=Path, required=True, help="output: safetensors with everything")
    arguments = parser.parse_args(argv)
    settings = stage.settings(BundleSettings, arguments.settings)
    checkpoint = load(arguments.upstream)
    gathered = gather(arguments.calibrations, arguments.exits, settings)
    checkpoint.calibrations = dict(with_spending(gathered, arguments.entropies, checkpoint, settings.floor))
    save(arguments.out, checkpoint, "safetensors")


if __name__ == "__main__":
    stage.run(main)
