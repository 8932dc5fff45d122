"""Calibrate a task's thresholds: the mean entropy per layer on its training set, and tau for every rho."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.files import write_json
from daisy.exits.signals import ENTROPY
from daisy.exits.thresholds import quantile, threshold_for
from daisy.features.measured import load_measured
from daisy.features.settings import CalibrationSettings


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--entropies", type=Path, required=True, help="entropies of the training set")
    parser.add_argument("--out", type=Path, required=True, help="output: mean entropy per layer, and tau")
    arguments = parser.parse_args(argv)
    settings = stage.settings(CalibrationSettings, arguments.settings)
    measured = load_measured(arguments.entropies).entropies
    mean = measured.mean(axis=0).tolist()
    given = quantile(measured, settings.rho) if settings.rule == "quantile" else settings.absolute
    tau = threshold_for(settings.rule, settings.task, settings.rho, mean, given)
    found = {"task": settings.task, "rule": settings.rule, "rho": settings.rho, "tau": tau, "mean_entropy": mean}
    write_json(arguments.out, found if settings.signal == ENTROPY else {**found, "signal": settings.signal})


if __name__ == "__main__":
    stage.run(main)
