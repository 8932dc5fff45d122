"""Put a run's thresholds and training histograms beside its branches: one model file to give away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.files import read_json
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.exits.signals import ENTROPY
from daisy.hubert.checkpoint import load, save
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


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--calibrations", type=Path, nargs="*", default=[], help="one per task and rho")
    parser.add_argument("--exits", type=Path, nargs="*", default=[], help="training exits, in the same order")
    parser.add_argument("--out", type=Path, required=True, help="output: safetensors with everything")
    arguments = parser.parse_args(argv)
    settings = stage.settings(BundleSettings, arguments.settings)
    checkpoint = load(arguments.upstream)
    checkpoint.calibrations = gather(arguments.calibrations, arguments.exits, settings)
    save(arguments.out, checkpoint, "safetensors")


if __name__ == "__main__":
    stage.run(main)
