"""DistilHuBERT's student, the heads by which it predicts its teacher's layers, and their loss.

Chang, Yang, Lee: DistilHuBERT, ICASSP 2022. Shape suffixes: N heads, R frames of all utterances, D width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import layer_by_layer


def predicted_layers(layers: int, heads: int) -> list[int]:
    """The teacher's layers that are predicted: 4, 8 and 12 of 12 with three heads.

    Raises:
        DaisyError: if there are more heads than layers.
    """
    if heads > layers:
        raise DaisyError(f"{heads} heads for a teacher of {layers} layers", fix="Choose fewer heads")
    return [round(layers * place / heads) for place in range(1, heads + 1)]


class Student(nn.Module):
    """A student and its heads; the teacher gives it all that both of them have.

    Args:
        teacher: The frozen model.
        layers: The student's transformer layers.
        heads: How many of the teacher's layers it predicts.
        front_end: Whether the convolutions learn, too.

    Attributes:
        hubert: The student itself.
        predicted: The layers that it predicts.

    Raises:
        DaisyError: if the teacher has too few layers.
    """

    def __init__(self, teacher: Hubert, layers: int, heads: int, front_end: bool) -> None:
        super().__init__()
        shape = teacher.config
        if layers > shape.layers:
            raise DaisyError(f"a student of {layers} layers for a teacher of {shape.layers}", fix="Choose fewer layers")
        self.predicted = predicted_layers(shape.layers, heads)
        self.hubert = Hubert(dataclasses.replace(shape, layers=layers))
        given = teacher.state_dict()
        self.hubert.load_state_dict({name: given[name] for name in self.hubert.state_dict()})
        self.hubert.feature_extractor.requires_grad_(front_end)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(shape.dim, shape.dim), nn.GELU(), nn.Linear(shape.dim, shape.dim))
            for _ in self.predicted
        )

    def forward(self, waves: Sequence[Tensor]) -> Tensor:
        """What it predicts of a batch of recordings: (N, R, D), utterance after utterance."""
        last = states(self.hubert, waves, [self.hubert.config.layers])[0]
        return torch.stack([head(last) for head in self.heads])


def states(hubert: Hubert, waves: Sequence[Tensor], layers: Sequence[int]) -> list[Tensor]:
    """What some layers say of a batch, the lowest first: one (R, D) each, as s3prl has hidden states."""
    return [state for k, state, _ in layer_by_layer(hubert, waves, "s3prl") if k in layers]


def losses(predicted: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """How far predictions (N, R, D) are from what the teacher says, likewise: two losses, which weigh alike.

    Returns:
        The mean distance of two numbers, and the negative log-sigmoid of the cosine, each (N,) by head.
    """
    predicted, wanted = predicted.float(), wanted.float()
    distance = (predicted - wanted).abs().mean((1, 2))
    return distance, -F.logsigmoid(F.cosine_similarity(predicted, wanted, dim=-1)).mean(1)


def without_heads(student: Student, teacher: Checkpoint) -> Checkpoint:
    """The student as a model of its own, on the CPU."""
    config = teacher.fairseq_config
    model = {**config["model"], "encoder_layers": student.hubert.config.layers}
    hubert = student.hubert.cpu().eval().requires_grad_(False)
    return Checkpoint(hubert, None, None, "after-norm", {**config, "model": model})
