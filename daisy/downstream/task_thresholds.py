"""Thresholds of a task's own exits at every scale, and where its training utterances stop by them.

The thresholds are midranges whatever the rule of DAISY's: a number in nats is one branch's, and none of these heads'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.files import write_json
from daisy.downstream.settings import TaskThresholdsSettings
from daisy.exits.rule import ExitRule, all_candidates, histogram
from daisy.exits.thresholds import midrange
from daisy.features.measured import load_measured


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--entropies", type=Path, required=True, help="entropies of the training utterances")
    parser.add_argument("--out", type=Path, required=True, help="output: threshold and exit histogram per scale")
    arguments = parser.parse_args(argv)
    settings = stage.settings(TaskThresholdsSettings, arguments.settings)
    entropies = load_measured(arguments.entropies, fix="Train the task's exits again").entropies
    layers = entropies.shape[1]
    mean = entropies.mean(axis=0).tolist()
    scales = []
    for rho in settings.rho:
        tau = midrange(mean, rho)
        exits = ExitRule(all_candidates(settings.floor, layers), tau).layers(entropies)
        scales.append({"rho": rho, "tau": tau, "counts": histogram(exits, layers)})
    write_json(arguments.out, {"task": settings.task, "mean_entropy": mean, "scales": scales})


if __name__ == "__main__":
    stage.run(main)
