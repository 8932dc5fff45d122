"""One split of a task as training and evaluation see it: features, exits, examples, and recordings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daisy.common.cached import KEPT_SECONDS, Cached
from daisy.common.transfer import CPU, reading
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.features.kept import Features
from daisy.features.streamed import Streamed
from daisy.tasks.base import Task
from daisy.tasks.registry import TASKS

NAMED = 10
"""As many recordings are named in a line."""


@dataclasses.dataclass(frozen=True)
class Read:
    """What was read of a batch.

    Attributes:
        indices: The utterances.
        states: What `Features.padded` makes their states of.
        layers: (B,) where each stops.
        frames: (B,) frames of each.
        examples: What the task needs of each.
    """

    indices: list[int]
    states: Any
    layers: Tensor
    frames: Tensor
    examples: list[Any]


@dataclasses.dataclass(frozen=True)
class Split:
    """One split as training sees it: features, exit layers, examples, and recordings if the task needs them."""

    features: Features
    exits: np.ndarray
    examples: Sequence[Any]
    waves: Sequence[Tensor] = ()

    def read(self, indices: Sequence[int], exits: Sequence[int] | None = None, device: torch.device = CPU) -> Read:
        """What there is on the disk of some utterances; any thread may read.

        Args:
            indices: The utterances.
            exits: Where each stops; by default where the split says.
            device: Where their states will be wanted.
        """
        layers = torch.from_numpy(self.exits[list(indices)]) if exits is None else torch.tensor(exits)
        states = self.features.read(indices, int(layers.max()), device)
        frames = torch.tensor([int(self.features.frames[index]) for index in indices])
        return Read(list(indices), states, layers, frames, [self.examples[index] for index in indices])

    def reading(self, device: torch.device) -> tuple[int, int]:
        """How many threads read ahead for a device, and how far.

        States that are kept lie in memory, or as good as that: on a CPU a thread that fetches them would only take
        turns with those that compute, which costs a tenth of a small training.
        """
        kept = not isinstance(self.features, Streamed)
        return (0, 0) if kept and device.type == "cpu" else reading(device)

    def states(self, read: Read) -> Tensor:
        """(B, T, n, D) the states of what was read, on the device that it was read for."""
        return self.features.padded(read.states)

    def batch(
        self, indices: Sequence[int], exits: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        """States (B, T, n, D), exit layers (B,), frames (B,), and the examples; at other `exits` if they are given."""
        read = self.read(indices, exits, self.features.device)
        return self.states(read), read.layers, read.frames, read.examples


def tell_unlearnable(task: Task, manifest: Manifest, split: Split) -> None:
    """Name the recordings of a training set from which nothing can be learnt, before it begins.

    Raises:
        DaisyError: if that is all of them.
    """
    found = task.unlearnable(manifest, split.features.frames.tolist())
    if not found:
        return
    shown = ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
    problem = f"{len(found)} of {len(manifest)} transcripts are longer than their recordings have steps for: {shown}"
    if len(found) == len(manifest):
        raise DaisyError(problem, file=manifest.root, fix="Correct the transcripts, or lower the task's stride")
    print(f"{task.name}: {problem}. They have no loss, and nothing is learnt from them", file=sys.stderr, flush=True)


def load_split(task: Task, manifest: Manifest, features: Features, exits: np.ndarray) -> Split:
    """Join a manifest with its features and exits.

    Args:
        task: What makes examples of the recordings.
        manifest: The recordings.
        features: Their features.
        exits: (recordings,) where each stops.
    """
    keep = manifest.seconds <= KEPT_SECONDS
    waves = Cached(manifest.wave, len(manifest), keep=keep) if TASKS[task.name].waves else ()
    return Split(features, exits, task.examples(manifest), waves)
