"""What a part of the benchmark is measured with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import torch

from daisy.common.compute import Compute, Precision
from daisy.hubert.config import HubertConfig

LONG = {"batches": 2, "dump": 2, "downstream": 2, "stages": 2, "grid": 2, "growth": 3}
"""The parts that take long, and by how much their rounds are divided."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of all parts.

    Attributes:
        shape: The model's shape.
        classes: C, the classes of a branch.
        seconds: The length of the one recording; mixed recordings are shorter and longer, and scale with it.
        count: Recordings in the parts that take several.
        repeat: Timed rounds; one more warms up.
        threads: CPU threads.
        device: Where.
        run: Folder of a finished run, for what needs real speech and trained models.
        recordings: At most so many of its test recordings.
        compile: Whether `torch.compile` is measured too, which takes a minute.
        units: The amounts of data of the part `growth`, as multiples of the smallest.
        seed: Seed of weights and recordings.
    """

    shape: HubertConfig = HubertConfig()
    classes: int = 500
    seconds: float = 10.0
    count: int = 16
    repeat: int = 5
    threads: int = 2
    device: Literal["cpu", "cuda"] = "cpu"
    run: Path | None = None
    recordings: int = 200
    compile: bool = False
    units: tuple[int, ...] = (1, 2, 4)
    seed: int = 0

    @property
    def place(self) -> torch.device:
        """The device."""
        return self.compute("float32").place()

    def rounds(self, part: str) -> int:
        """Timed rounds of a part: `repeat`, or fewer of what takes long."""
        return -(-self.repeat // LONG.get(part, 1))

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that make a difference on the device."""
        return ("float32", "bfloat16") if self.device == "cpu" else ("float32", "tf32", "bfloat16")

    @property
    def batches(self) -> tuple[int, ...]:
        """Sizes of batch: a GPU is busy with many recordings only."""
        return (1,) if self.device == "cpu" else (1, 32)

    def compute(self, precision: Precision) -> Compute:
        """The device with a precision."""
        return Compute(self.device, precision)
