"""Downstream models, and the file that one lives in."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
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


class TaskModel(nn.Module, abc.ABC):
    """What reads the states of an upstream for a task, and is trained for it.

    Args:
        task: The task.
        layers: K.
        dim: D.
        states: Which hidden states it reads.
    """

    def __init__(self, task: Task, layers: int, dim: int, states: States) -> None:
        super().__init__()
        self.task, self.layers, self.dim, self.states = task, layers, dim, states

    @property
    def view(self) -> View:
        """What it sees of hidden states."""
        return view_of(self.task.name, self.task.options, self.states)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @abc.abstractmethod
    def forward(self, states: Tensor, exits: Tensor, lengths: Tensor) -> Tensor:
        """Layer-normalised states (B, T, n, D), exit layers (B,) and frames (B,) to a head's output."""

    @abc.abstractmethod
    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations for one utterance of `frames` frames that has stopped."""

    def description(self) -> dict[str, Any]:
        """What rebuilds the model, beside its weights."""
        return {"task": self.task.metadata(), "layers": self.layers, "dim": self.dim, "states": self.states}


class Downstream(TaskModel):
    """The weighted sum of states, and the task's head on it.

    Args:
        task: The task.
        layers: K.
        dim: D.
        fusion: How the states are summed.
        states: Which hidden states they are.
    """

    def __init__(self, task: Task, layers: int, dim: int, fusion: Fusion, states: States = "after-norm") -> None:
        super().__init__(task, layers, dim, states)
        self.fusion = LayerSum(layers, fusion)
        self.head = task.head(dim)

    def forward(self, states: Tensor, exits: Tensor, lengths: Tensor) -> Tensor:
        """Layer-normalised states (B, T, n, D), exit layers (B,) and frames (B,) to the head's output."""
        features = self.fusion(states, exits)
        if self.training:
            features = self.task.augment(features, lengths)
        return self.head(features, lengths)

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the head."""
        return self.head.macs(frames)

    def description(self) -> dict[str, Any]:
        """What rebuilds the model, beside its weights."""
        return super().description() | {"fusion": self.fusion.kind}


def save_downstream(path: Path, model: TaskModel) -> None:
    """Write a model as safetensors, with what rebuilds it in the metadata."""
    with atomic(path) as temporary:
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        safetensors.torch.save_file(state, temporary, {"downstream": json.dumps(model.description())})


def load_downstream(path: Path) -> Downstream:
    """Read a model that `save_downstream` wrote, in evaluation mode.

    Raises:
        DaisyError: if the file is missing or damaged.
    """

    def build(given: Mapping[str, Any]) -> Downstream:
        return Downstream(restore(given["task"]), *(given[name] for name in ("layers", "dim", "fusion", "states")))

    return load_model(path, build)


Model = TypeVar("Model", bound=TaskModel)


def load_model(path: Path, build: Callable[[Mapping[str, Any]], Model]) -> Model:
    """Read a model of any kind; see `load_downstream`.

    Args:
        path: The file.
        build: Makes the model, with any weights, from its description.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()["downstream"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = build(description)
        model.load_state_dict(state)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:120]
        raise DaisyError(f"no downstream model ({problem})", file=path, fix="Train it again") from None
    return model.eval()
