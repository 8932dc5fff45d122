"""One split of a task as training and evaluation see it: features, exits, examples, and recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daisy.common.cached import KEPT_SECONDS, Cached
from daisy.corpora.utterances import Manifest
from daisy.features.kept import Features
from daisy.tasks.base import Task
from daisy.tasks.registry import TASKS


@dataclasses.dataclass(frozen=True)
class Split:
    """One split as training sees it: features, exit layers, examples, and recordings if the task needs them."""

    features: Features
    exits: np.ndarray
    examples: Sequence[Any]
    waves: Sequence[Tensor] = ()

    def batch(
        self, indices: Sequence[int], exits: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        """States (B, T, n, D), exit layers (B,), frames (B,), and the examples; at other `exits` if they are given."""
        layers = torch.from_numpy(self.exits[list(indices)]) if exits is None else torch.tensor(exits)
        states = self.features.batch(indices, int(layers.max()))
        frames = torch.tensor([len(item) for item in states])
        padded = nn.utils.rnn.pad_sequence(states, batch_first=True)
        return padded, layers, frames, [self.examples[i] for i in indices]


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
