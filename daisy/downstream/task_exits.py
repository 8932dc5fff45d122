"""Exits that are trained for a task on its own labels: the early exit beside which DAISY is trained once for all.

Every layer has a linear head of its own, and the entropy of what that head predicts says whether to stop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daisy.common.ahead import ahead
from daisy.common.batches import groups
from daisy.downstream.model import TaskModel, load_model
from daisy.downstream.scoring import BATCH_FRAMES, WASTE
from daisy.downstream.split import Read, Split
from daisy.features.seen import seen
from daisy.hubert.config import States
from daisy.hubert.packing import Packing
from daisy.tasks.base import Score, Task
from daisy.tasks.loading import restore


class TaskExits(TaskModel):
    """A linear head per layer, on that layer's normalised state alone.

    Args:
        task: The task; its registry entry says `exits`.
        layers: K.
        dim: D.
        states: Which hidden states they are.
    """

    def __init__(self, task: Task, layers: int, dim: int, states: States = "after-norm") -> None:
        super().__init__(task, layers, dim, states)
        self.heads = nn.ModuleList(task.exit_head(dim) for _ in range(layers))

    def every_layer(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Layer-normalised states (B, T, K + 1, D) and frames (B,) to all heads' outputs (K, B, ...)."""
        return torch.stack([head(states[:, :, k], lengths) for k, head in enumerate(self.heads, start=1)])

    def forward(self, states: Tensor, exits: Tensor, lengths: Tensor) -> Tensor:
        """Layer-normalised states (B, T, n, D), exit layers (B,) and frames (B,) to the output of each exit's head."""
        # Frames are counted on the CPU, and so the utterances of each exit are told apart there.
        exits = exits.cpu()
        chosen = states[torch.arange(len(states)), :, exits]
        output: Tensor | None = None
        for k in sorted(set(exits.tolist())):
            here = exits == k
            part = self.heads[k - 1](chosen[here], lengths[here])
            output = part.new_zeros(len(states), *part.shape[1:]) if output is None else output
            output[here] = part
        assert output is not None
        return output

    def entropy(self, k: int, states: Tensor, packing: Packing) -> Tensor:
        """The entropy in nats of what head k predicts for each utterance: h_k (R, D) to (B,)."""
        parts = [seen(self.view, part.float()[None])[:, 0] for part in packing.split(states)]
        lengths = torch.tensor([len(part) for part in parts])
        features = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        return self.task.uncertainty(self.heads[k - 1](features, lengths), lengths)

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of one head."""
        return self.heads[0].macs(frames)  # type: ignore[operator]


def load_task_exits(path: Path) -> TaskExits:
    """Read a model from a file of `daisy.downstream.model.save_downstream`, in evaluation mode.

    Raises:
        DaisyError: if the file is missing or damaged.
    """

    def build(given: Mapping[str, Any]) -> TaskExits:
        return TaskExits(restore(given["task"]), *(given[name] for name in ("layers", "dim", "states")))

    return load_model(path, build)


@torch.inference_mode()
def _outputs(model: TaskExits, split: Split) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Indices, frames (B,) and all heads' outputs (K, B, ...), batch by batch; every state is computed once."""
    model.eval()
    device = model.device

    def read(indices: list[int]) -> Read:
        return split.read(indices, [model.layers] * len(indices), device)

    parts = groups(split.features.frames.tolist(), BATCH_FRAMES, WASTE)
    with contextlib.closing(ahead(parts, read, *split.reading(device))) as ready:
        for batch in ready:
            yield batch.indices, batch.frames, model.every_layer(split.states(batch).to(device), batch.frames)


def entropies(model: TaskExits, split: Split) -> Tensor:
    """The entropies of all utterances at all layers, in nats: (N, K), on the CPU."""
    result = torch.zeros(len(split.features), model.layers, dtype=torch.float64)
    for indices, frames, outputs in _outputs(model, split):
        measured = [model.task.uncertainty(output, frames) for output in outputs]
        result[indices] = torch.stack(measured, 1).double().cpu()
    return result


def scores_by_layer(model: TaskExits, split: Split) -> list[list[Score]]:
    """The scores of all utterances by each head: K lists, in no particular order of the utterances."""
    result: list[list[Score]] = [[] for _ in range(model.layers)]
    for indices, frames, outputs in _outputs(model, split):
        for scored, output in zip(result, outputs, strict=True):
            scored += _scored(model.task, split, indices, model.task.predict(output, frames))
    return result


def _scored(task: Task, split: Split, indices: Sequence[int], predictions: Sequence[object]) -> list[Score]:
    return [task.score(said, split.examples[index]) for index, said in zip(indices, predictions, strict=True)]
