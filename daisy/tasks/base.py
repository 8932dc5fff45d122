"""What the pipeline asks of a downstream task.

Training, evaluation and reports know tasks by this interface alone, so that a further task is one more
module. An *example* is whatever a task needs of an utterance beside its features: a class, a
transcript, reference audio.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from daisy.common.transfer import handed
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure by which a task is judged.

    Attributes:
        name: As in the tables, for example ``"wer"``.
        label: As in the figures, for example ``"Word error rate (%)"``.
        higher_is_better: Its direction.
        scale: What sum(numerators) / sum(denominators) is multiplied by (100 for per cent).
    """

    name: str
    label: str
    higher_is_better: bool
    scale: float = 1.0


Score = dict[str, tuple[float, float]]
"""Per metric, an utterance's numerator and denominator. A set's metric is the sum of the one over the sum
of the other, which holds for rates (errors / words) and for means (value / 1) alike. An utterance that
cannot be judged by a metric has 0 / 0."""


def valid(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, T), true where a padded batch x (B, T, ...) holds one of an utterance's (B,) frames."""
    return torch.arange(x.shape[1], device=x.device) < handed(lengths, x.device)[:, None]


class Head(nn.Module, abc.ABC):
    """The trained model on top of the features."""

    @abc.abstractmethod
    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) features with (B,) valid frames to the task's output."""

    @abc.abstractmethod
    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations for one utterance of `frames` frames."""


class Task(abc.ABC):
    """One downstream task.

    Args:
        options: The task's part of the config.
        vocabulary: What the training set fixed: speakers, characters.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]

    def __init__(self, options: Mapping[str, Any], vocabulary: Sequence[str]) -> None:
        self.options, self.vocabulary = dict(options), list(vocabulary)

    @classmethod
    @abc.abstractmethod
    def learn_vocabulary(cls, train: Manifest) -> list[str]:
        """What the training set fixes: speakers, characters."""

    @abc.abstractmethod
    def head(self, dim: int) -> Head:
        """A fresh head for features of width `dim`, drawn from torch's random numbers."""

    @abc.abstractmethod
    def example(self, manifest: Manifest, index: int) -> Any:
        """What training and scoring need of one utterance.

        Raises:
            DaisyError: if the utterance's label is unknown or missing.
        """

    @abc.abstractmethod
    def loss(self, output: Tensor, lengths: Tensor, examples: Sequence[Any]) -> Tensor:
        """The mean of the losses of a batch's utterances, a scalar."""

    @abc.abstractmethod
    def predict(self, output: Tensor, lengths: Tensor, waves: Sequence[Tensor] = ()) -> list[Any]:
        """One prediction per utterance of a batch.

        Args:
            output: What the head gave.
            lengths: (B,) frames of features.
            waves: The recordings (samples,), for the tasks whose registry entry says `waves`; otherwise none.
        """

    @abc.abstractmethod
    def score(self, prediction: Any, example: Any) -> Score:
        """How good a prediction is, per metric."""

    def examples(self, manifest: Manifest) -> Sequence[Any]:
        """What `example` gives for every utterance of a split."""
        return [self.example(manifest, index) for index in range(len(manifest))]

    def check_hop(self, hop: int) -> None:  # noqa: B027
        """Check that heads suit a model whose frames are `hop` samples apart; by default they suit every one.

        Raises:
            DaisyError: if they do not.
        """

    def unlearnable(self, manifest: Manifest, frames: Sequence[int]) -> list[str]:
        """The utterances of a training set from which nothing can be learnt, with the reason; by default none.

        Args:
            manifest: The recordings.
            frames: How many frames of features each has.
        """
        return []

    def exit_head(self, dim: int) -> Head:
        """A fresh linear head on the states of one layer, of width `dim`; its output is like that of `head`.

        For the tasks whose registry entry says `exits`; so is `uncertainty`.

        Raises:
            DaisyError: if the task has no such head.
        """
        raise DaisyError(f"the task {self.name} has no heads on single layers", fix="Leave it out of task-ee")

    def uncertainty(self, output: Tensor, lengths: Tensor) -> Tensor:
        """The entropy of a head's own posterior in nats, per utterance: (B,).

        Args:
            output: What the head gave.
            lengths: (B,) frames of features.

        Raises:
            DaisyError: if the task has no such head.
        """
        raise DaisyError(f"the task {self.name} has no heads on single layers", fix="Leave it out of task-ee")

    def unprocessed(self, example: Any) -> Score | None:
        """What a recording scores as it is; None where that means nothing."""
        return None

    def augment(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Change the features of a training batch (B, T, D); by default not at all."""
        return features

    def metadata(self) -> dict[str, Any]:
        """What `daisy.tasks.restore` needs."""
        return {"name": self.name, "options": self.options, "vocabulary": self.vocabulary}


def set_metric(scores: Sequence[Score], metric: Metric) -> float:
    """A metric over a set of utterances.

    Raises:
        DaisyError: if no utterance counts.
    """
    numerator = sum(score[metric.name][0] for score in scores)
    denominator = sum(score[metric.name][1] for score in scores)
    if denominator <= 0:
        raise DaisyError(
            f"{metric.name} cannot be computed for any of the {len(scores)} recordings of a split",
            fix="Give the split recordings that are longer, or hold more speech",
        )
    return metric.scale * numerator / denominator
