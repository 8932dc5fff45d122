"""Distil a student from the frozen HuBERT: its first layers learn to predict what some of its layers say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from daisy.common import spent, stage
from daisy.common.batches import endless, seconds_per_step
from daisy.common.contents import digest
from daisy.common.files import write_csv
from daisy.common.transfer import Sent, reading
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.hubert.checkpoint import Checkpoint, load, save
from daisy.students.model import Student, losses, states, without_heads
from daisy.students.settings import StudentSettings
from daisy.training.loop import Loop, Values, check_finite
from daisy.training.resume import Resumable
from daisy.training.schedule import rising_and_falling
from daisy.training.stretches import Stretches
from daisy.training.workers import start_workers

CLIP = 5.0
"""Largest norm of the gradient; this and the optimiser are as in s3prl's pre-training of DistilHuBERT."""

BETAS, EPSILON, DECAY = (0.9, 0.98), 1e-6, 1e-6


def optimizer_of(student: Student, learning_rate: float) -> torch.optim.Optimizer:
    """What trains a student."""
    learning = [value for value in student.parameters() if value.requires_grad]
    return torch.optim.AdamW(learning, learning_rate, BETAS, EPSILON, DECAY, fused=True)


class Distillation:
    """A student in training.

    Args:
        teacher: The frozen model.
        student: Who learns, on the same device.
        optimizer: What trains it.
        manifest: The speech.
        settings: Config of the stage.
        loop: The training's loop.
    """

    def __init__(
        self,
        teacher: Checkpoint,
        student: Student,
        optimizer: torch.optim.Optimizer,
        manifest: Manifest,
        settings: StudentSettings,
        loop: Loop,
    ) -> None:
        self.teacher, self.student, self.optimizer = teacher, student, optimizer
        self.manifest, self.settings, self.loop = manifest, settings, loop
        self.device = teacher.device
        self.stretches = Stretches(teacher.encoder.config, settings.seed)
        self.history: list[dict[str, float]] = []

    def read(self, step: int, batch: list[int]) -> list[tuple[float, Sent]]:
        """This process's parts of a batch, with the share of its frames that is in each."""
        config = self.teacher.encoder.config
        frames = {index: config.frames(self.manifest.utterances[index].samples) for index in batch}
        parts = self.stretches.of_parts(frames, step, self.loop.workers.share(batch, self.settings.accumulate))
        return [(share, Sent(self.stretches.waves(self.manifest, own), self.device)) for share, own in parts]

    def loss(self, part: Sent) -> tuple[Tensor, Tensor]:
        """The loss of some recordings, and what it is made of: (2 N,), distances before cosines."""
        waves = part.arrived()
        with self.settings.compute.autocast():
            with torch.no_grad():
                wanted = torch.stack(states(self.teacher.encoder, waves, self.student.predicted))
            predicted = self.student(waves)
        distance, cosine = losses(predicted, wanted)
        return (distance + cosine).mean(), torch.cat([distance, cosine])

    def update(self, step: int, parts: list[tuple[float, Sent]]) -> Values:
        """Do a step; what `daisy.training.loop.Loop` wants of it."""
        settings = self.settings
        share = rising_and_falling(step, settings.steps, round(settings.warmup * settings.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * share
        self.optimizer.zero_grad()
        found = self.loop.workers.backward(parts, self.loss, self.student.parameters())
        nn.utils.clip_grad_norm_(self.student.parameters(), CLIP)
        self.optimizer.step()
        told = self.loop.workers.reading(found)

        def values() -> tuple[dict[str, float], str]:
            loss, *means = told()
            check_finite(loss, step, "student.learning_rate")
            names = [f"{what}_{k}" for what in ("distance", "cosine") for k in self.student.predicted]
            row = {"loss": loss, **dict(zip(names, means, strict=True))}
            self.history.append({"step": step, **row})
            return row, f"loss {loss:.3f}"

        return values

    def run(self) -> None:
        """Train to the end, from where an earlier run stopped.

        Raises:
            DaisyError: if the loss is no number, or a step needs more memory than there is.
        """
        done, extra = self.loop.saved.restore()
        self.history = extra.get("history", [])
        samples = [item.samples for item in self.manifest.utterances]
        spent.note("seconds_per_step", seconds_per_step(samples, self.settings.batch_seconds))
        order = endless(samples, self.settings.batch_seconds, self.settings.seed, "student")
        self.loop.run(order, self.read, self.update, lambda: {"history": self.history}, done, reading(self.device))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="HuBERT, the teacher")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--curves", type=Path, help="folder for TensorBoard")
    parser.add_argument("--out", type=Path, required=True, help="output: the student (.safetensors)")
    parser.add_argument("--history", type=Path, required=True, help="output: losses per step")
    arguments = parser.parse_args(argv)
    settings = stage.settings(StudentSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    workers = start_workers()
    teacher, manifest = load(arguments.checkpoint), read_manifest(arguments.manifest)
    torch.manual_seed(settings.seed)
    student = Student(teacher.encoder, settings.layers, settings.heads, settings.front_end)
    teacher.to(settings.compute.place())
    student.to(settings.compute.place())
    optimizer = optimizer_of(student, settings.learning_rate)
    saved = Resumable(
        arguments.state,
        {"student": student, "optimizer": optimizer},
        {
            "settings": dataclasses.asdict(settings),
            "inputs": [digest(path) for path in (arguments.checkpoint, arguments.manifest)],
        },
        workers,
    )
    loop = Loop(
        "student", settings.steps, settings.save_every, "student.batch_seconds", saved, workers, arguments.curves, 1
    )
    distillation = Distillation(teacher, student, optimizer, manifest, settings, loop)
    distillation.run()
    if workers.first:
        write_csv(arguments.history, list(distillation.history[0]), distillation.history)
        save(arguments.out, without_heads(student, teacher), "safetensors")
    saved.finish()
    workers.end()


if __name__ == "__main__":
    stage.run(main)
