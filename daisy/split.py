"""One split of a task as training and evaluation see it: features, exits, examples, and recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daisy.cached import KEPT_SECONDS, Cached
from daisy.errors import DaisyError
from daisy.exit_rule import ExitRule, all_candidates
from daisy.features import Features
from daisy.manifest import Manifest
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


def last_if_negative(fixed_layer: int, layers: int) -> int:
    """The layer that `fixed_layer` of the settings stands for in a model of `layers` layers.

    Raises:
        DaisyError: if the model has no such layer.
    """
    if fixed_layer > layers:
        raise DaisyError(f"the method layer{fixed_layer} on a model of {layers} layers", fix="Choose a smaller layer")
    return layers if fixed_layer < 0 else fixed_layer


def load_split(
    task: Task, manifest: Manifest, features: Features, fixed_layer: int, tau: float | None, floor: int = 1
) -> Split:
    """Join a manifest with its features, and find every utterance's exit layer.

    Raises:
        DaisyError: if the features are of another manifest, or the floor is above the last layer.
    """
    if len(features) != len(manifest):
        raise DaisyError(
            f"features of {len(features)} utterances for {len(manifest)} recordings",
            file=manifest.root,
            fix="Run the feature stage again",
        )
    layers = features.entropies.shape[1]
    if fixed_layer:
        exits = np.full(len(features), last_if_negative(fixed_layer, layers))
    else:
        assert tau is not None
        exits = ExitRule(all_candidates(floor, layers), tau).layers(features.entropies)
    keep = manifest.seconds <= KEPT_SECONDS
    waves = Cached(manifest.wave, len(manifest), keep=keep) if TASKS[task.name].waves else ()
    return Split(features, exits, task.examples(manifest), waves)
