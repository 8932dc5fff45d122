"""A downstream model, and the file that it lives in."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from daisy.common.files import atomic
from daisy.downstream.fusion import LayerSum
from daisy.downstream.settings import Fusion
from daisy.errors import DaisyError
from daisy.features.settings import View
from daisy.features.view import view_of
from daisy.hubert.config import States
from daisy.tasks.base import Task
from daisy.tasks.loading import restore


class Downstream(nn.Module):
    """The weighted sum of states, and the task's head on it.

    Args:
        task: The task.
        layers: K.
        dim: D.
        fusion: How the states are summed.
        states: Which hidden states they are.
    """

    def __init__(self, task: Task, layers: int, dim: int, fusion: Fusion, states: States = "after-norm") -> None:
        super().__init__()
        self.task, self.layers, self.dim, self.states = task, layers, dim, states
        self.fusion = LayerSum(layers, fusion)
        self.head = task.head(dim)

    @property
    def view(self) -> View:
        """What it sees of hidden states."""
        return view_of(self.task.name, self.task.options, self.states)

    def forward(self, states: Tensor, exits: Tensor, lengths: Tensor) -> Tensor:
        """Layer-normalised states (B, T, n, D), exit layers (B,) and frames (B,) to the head's output."""
        features = self.fusion(states, exits)
        if self.training:
            features = self.task.augment(features, lengths)
        return self.head(features, lengths)


def save_downstream(path: Path, model: Downstream) -> None:
    """Write a model as safetensors, with what rebuilds it in the metadata."""
    description = {
        "task": model.task.metadata(),
        "layers": model.layers,
        "dim": model.dim,
        "fusion": model.fusion.kind,
        "states": model.states,
    }
    with atomic(path) as temporary:
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        safetensors.torch.save_file(state, temporary, {"downstream": json.dumps(description)})


def load_downstream(path: Path) -> Downstream:
    """Read a model that `save_downstream` wrote, in evaluation mode.

    Raises:
        DaisyError: if the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()["downstream"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = Downstream(
            restore(description["task"]),
            *(description[name] for name in ("layers", "dim", "fusion", "states")),
        )
        model.load_state_dict(state)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:120]
        raise DaisyError(f"no downstream model ({problem})", file=path, fix="Train it again") from None
    return model.eval()
