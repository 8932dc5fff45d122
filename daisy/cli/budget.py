"""`daisy budget`: threshold and candidates that spend a share of the full model's arithmetic, and what they buy."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daisy.errors import DaisyError

if TYPE_CHECKING:
    from daisy.library.model import Daisy

SUMMARY = "Find threshold and candidates that spend a share of the full model's arithmetic, from a model's calibration."
EXAMPLES = (
    "daisy budget tiny --target 0.6",
    "daisy budget results/mini/model/daisy.safetensors --target 0.6 --task asr",
    "daisy budget daisy.safetensors --target 0.5 --run results/mini --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("checkpoint", type=Path, help="DAISY checkpoint with calibrations; or tiny, which ships")
    parser.add_argument(
        "--target", type=float, required=True, metavar="SHARE", help="of the full model's arithmetic, for example 0.6"
    )
    parser.add_argument("--task", help="whose calibration (default: all)")
    parser.add_argument(
        "--run",
        dest="folder",
        type=Path,
        metavar="RUN",
        help="results of a run, to say what the budget buys "
        "(default: the run that a RUN/model/daisy.safetensors lies in)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def tables(arguments: argparse.Namespace) -> Path | None:
    """The tables of the run that is named, or that the checkpoint lies in; None if there is none."""
    if arguments.folder:
        return Path(arguments.folder, "tables")
    beside: Path = arguments.checkpoint.absolute().parent.parent / "tables"
    inside = arguments.checkpoint.parent.name == "model" and (beside / "grid.csv").is_file()
    return beside if inside else None


def found(model: Daisy, task: str, share: float, folder: Path | None) -> dict[str, Any]:
    """What a task gets for a share, as plain types."""
    from daisy.exits.budget import expected_exit, kept

    candidates, tau = model.exits(budget=share, task=task)
    calibration = model.calibrations[task]
    known = kept(calibration, task)
    results = spent = None
    if folder is not None:
        from daisy.report.expected import expected, spent_on_test

        spent = spent_on_test(folder, task, share)
        results = [vars(item) | {"words": str(item)} for item in expected(folder, task, calibration.signal, share)]
    return {
        "task": task,
        "signal": calibration.signal,
        "threshold": tau if len(candidates) > 1 else None,
        "candidates": list(candidates),
        "mean_exit_layer": expected_exit(known, model.layers, share),
        "least": known.spent[-1],
        "spent_on_test": spent,
        "results": results,
    }


def told(items: list[dict[str, Any]], layers: int, folder: Path | None) -> str:
    """The same for people."""
    lines = [f"{'task':6} {'threshold':>9}  {'candidates':12} {'mean exit':>9}  {'can go down to':>14}"]
    for item in items:
        ends = item["candidates"]
        named = f"{ends[0]} to {ends[-1]}" if len(ends) > 1 else str(ends[0])
        tau = "none" if item["threshold"] is None else f"{item['threshold']:.4f}"
        mean = f"{item['mean_exit_layer']:.1f} of {layers}"
        lines.append(f"{item['task']:6} {tau:>9}  {named:12} {mean:>9}  {item['least']:14.0%}")
    lines += ["", "That is on average, of recordings like those that the thresholds were calibrated on."]
    if folder is None:
        lines.append("Which result goes with it cannot be said: no run's tables are at hand. Name a run with --run.")
        return "\n".join(lines)
    lines.append(f"The result, by {folder}:")
    for item in items:
        words = [result["words"] for result in item["results"]] or ["cannot be said: the tables do not have it"]
        lines += [f"  {item['task']}: {text}" for text in words]
        if item["spent_on_test"] is not None:
            lines.append(f"    at this threshold the test set spent {item['spent_on_test']:.0%}")
    return "\n".join(lines)


def run(arguments: argparse.Namespace) -> None:
    """Find, and say."""
    from daisy.library.model import load

    model = load(arguments.checkpoint)
    tasks = [arguments.task] if arguments.task else sorted(model.calibrations)
    if not tasks:
        fix = "Give the model file of a finished run (results/RUN/model/daisy.safetensors), or tiny"
        raise DaisyError("the model has no calibration", file=arguments.checkpoint, fix=fix)
    folder = tables(arguments)
    items = [found(model, task, arguments.target, folder) for task in tasks]
    if arguments.json:
        print(json.dumps({"budget": arguments.target, "tasks": items}, indent=2))
        return
    print(f"{arguments.checkpoint}: {arguments.target:.0%} of the full model's arithmetic")
    print(told(items, model.layers, folder))
    print(f"In Python: model(waves, budget={arguments.target:g}, task={tasks[0]!r}); model.stream keeps to it.")
