"""A step of downstream training, its states in memory: of each task with MiniSUPERB's model and batch.

Table `downstream`: a row per task and precision. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `task`, `precision`; `recordings`, `seconds`: of the batch.

Against `float32` the other precisions tell what they save; `deterministic` is float32 with kernels that give the same
numbers every time, which for speech recognition means that the loss is computed on the CPU. The part `stages` has the
same step with states from the disk: its excess over this one is time in which a GPU waits.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.clock import SPREAD, row
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.common.audio import SAMPLE_RATE
from daisy.common.compute import CUBLAS, Compute, Precision, be_deterministic
from daisy.common.speed import take_turns
from daisy.downstream.model import Downstream
from daisy.tasks.loading import task_class
from daisy.tasks.masking import Sources

COLUMNS = (*SPREAD, "task", "precision", "recordings", "seconds")
LSTM = {"hidden": 256, "layers": 3, "dropout": 0.1}
MASKS = {
    "warp_frames": 5,
    "time_masks": 2,
    "time_frames": 40,
    "time_share": 1.0,
    "feature_masks": 4,
    "feature_dims": 50,
}
TASKS: dict[str, tuple[int, dict[str, Any]]] = {
    "sid": (32, {"projection": 256}),
    "asr": (16, {"projection": 256, "stride": 1, "end_marks": True, "specaugment": MASKS, **LSTM}),
    "se": (8, LSTM),
    "ss": (8, LSTM),
}
"""Recordings in a batch, and options, as `config/paper.yaml` has them."""

CHARACTERS = list("' abcdefghijklmnopqrstuvwxyz")
TEXT = "as many characters as people say in ten seconds or so with a few words more and then some still"


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    os.environ.update(CUBLAS)  # before the first product, as a stage that is to give the same numbers does
    for task, (size, given) in TASKS.items():
        count = min(size, options.count)
        steps = steps_of(task, given, count, options)
        taken = take_turns(steps, options.rounds("downstream"))
        more = {"task": task, "recordings": count, "seconds": count * options.seconds}
        for name in list(steps)[1:] or steps:
            precision = "float32" if name == "deterministic" else name
            yield row(taken, name, "float32", precision=precision, **more)


def steps_of(task: str, given: dict[str, Any], count: int, options: Options) -> dict[str, Callable[[], object]]:
    """The steps of a task, by name; float32 first."""
    if options.shape.dim < 128:  # a model that only tests the benchmark
        given = given | ({"hidden": 8, "layers": 1} if "hidden" in given else {"projection": 8})
    torch.manual_seed(options.seed)
    kind = task_class(task)(given, [f"speaker {number}" for number in range(100)] if task == "sid" else CHARACTERS)
    model = Downstream(kind, options.shape.layers, options.shape.dim, "dynamic").to(options.place).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    samples = round(options.seconds * SAMPLE_RATE)
    frames = torch.full((count,), 1 if task == "sid" else options.shape.frames(samples))
    states = torch.randn(count, int(frames[0]), options.shape.layers + 1, options.shape.dim, device=options.place)
    layers = torch.full((count,), options.shape.layers, device=options.place)
    examples = [example_of(task, samples, number) for number in range(count)]

    def step(compute: Compute) -> None:
        compute.place()
        optimizer.zero_grad()
        with compute.autocast():
            output = model(states, layers, frames)
        loss: Tensor = model.task.loss(output.float(), frames, examples)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def deterministic() -> None:
        be_deterministic()
        try:
            step(options.compute("float32"))
        finally:
            torch.use_deterministic_algorithms(False)

    precisions: tuple[Precision, ...] = options.precisions
    steps: dict[str, Callable[[], object]] = {
        name: functools.partial(step, options.compute(name)) for name in precisions
    }
    return steps if options.device == "cpu" else steps | {"deterministic": deterministic}


def example_of(task: str, samples: int, number: int) -> object:
    """What a task's loss compares with."""
    if task == "sid":
        return number
    if task == "asr":
        return TEXT[: max(1, samples // 2000)]
    sources = 1 if task == "se" else 2
    return Sources(0.1 * torch.randn(samples), 0.1 * torch.randn(sources, samples))
