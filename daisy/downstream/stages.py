"""What the stages that train a task's models share: their options, what they read, and the run itself."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.common.contents import digest
from daisy.common.files import write_csv
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.downstream.model import save_downstream
from daisy.downstream.settings import TrainingSettings
from daisy.downstream.trainer import Trainer
from daisy.features.kept import Features
from daisy.features.streamed import open_features
from daisy.features.view import view_of
from daisy.hubert.checkpoint import load
from daisy.tasks.base import Task
from daisy.tasks.loading import task_class
from daisy.training.loop import Loop
from daisy.training.resume import Resumable
from daisy.training.workers import Workers

SPLITS = ("train", "dev")


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options that these stages share."""
    result = stage.parser(description, threads=True)
    for split in SPLITS:
        result.add_argument(f"--{split}-manifest", type=Path, required=True)
        result.add_argument(f"--{split}-states", type=Path, help="made by the checkpoint where none are kept")
    result.add_argument("--checkpoint", type=Path, help="HuBERT (not needed where states are kept)")
    result.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    result.add_argument("--curves", type=Path, help="folder for TensorBoard")
    result.add_argument("--out", type=Path, required=True, help="output: the trained model (.safetensors)")
    result.add_argument("--history", type=Path, required=True, help="output: loss and dev metric")
    return result


@dataclasses.dataclass(frozen=True)
class Part:
    """A split's recordings, and their features."""

    manifest: Manifest
    features: Features


def read(arguments: argparse.Namespace, settings: TrainingSettings) -> tuple[Task, Part, Part]:
    """The task, and what is known of the training set and of the dev set.

    Raises:
        DaisyError: if a file is missing or damaged, or files do not fit together.
    """
    manifests = {split: read_manifest(getattr(arguments, f"{split}_manifest")) for split in SPLITS}
    kind = task_class(settings.task)
    task = kind(settings.options, kind.learn_vocabulary(manifests["train"]))
    encoder = load(arguments.checkpoint).to(settings.compute.place()).encoder if arguments.checkpoint else None
    if encoder is not None:
        task.check_hop(encoder.config.hop)
    view = view_of(task.name, task.options, settings.states)
    train, dev = (
        Part(manifest, open_features(getattr(arguments, f"{split}_states"), manifest, encoder, view))
        for split, manifest in manifests.items()
    )
    return task, train, dev


def run(
    trainer: Trainer,
    arguments: argparse.Namespace,
    what: str,
    inputs: Sequence[Path],
    workers: Workers,
    more: Mapping[str, Any],
) -> Resumable:
    """Train to the end, from where an earlier run stopped.

    Args:
        trainer: The training.
        arguments: Of the stage.
        what: What is trained, for the log.
        inputs: Files on which a saved state depends.
        workers: The processes that train together.
        more: What it depends on beside those and the settings.

    Returns:
        The saved state, to be removed once results are written.
    """
    settings = trainer.settings
    saved = Resumable(
        arguments.state,
        {"model": trainer.model, "optimizer": trainer.optimizer},
        {"settings": dataclasses.asdict(settings), **more, "inputs": [digest(path) for path in inputs]},
        workers,
    )
    label, size = f"{settings.task} {what}", f"tasks.{settings.task}.batch_size"
    trainer.run(Loop(label, settings.steps, settings.save_every, size, saved, workers, arguments.curves))
    workers.end()
    return saved


def write(trainer: Trainer, arguments: argparse.Namespace) -> None:
    """Write what every such training leaves: its history and its best model, which is on the CPU from then on."""
    write_csv(arguments.history, list(trainer.history[0]), trainer.history)
    save_downstream(arguments.out, trainer.model.cpu())
