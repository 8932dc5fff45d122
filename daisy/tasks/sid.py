"""Speaker identification: linear, mean over time, linear, cross-entropy (MiniSUPERB)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.common.transfer import handed
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.hubert.branches import frame_entropy
from daisy.tasks.base import Head, Metric, Score, Task, valid


def pooled(features: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D) features to (B, D): the mean over each utterance's valid frames."""
    lengths = handed(lengths, features.device)
    return torch.where(valid(features, lengths)[..., None], features, 0).sum(1) / lengths[:, None]


class SpeakerHead(Head):
    """A projection, the mean over valid frames, and a linear classifier.

    The projection is linear, so pooling may as well come before it: features pooled beforehand give the
    same logits.
    """

    def __init__(self, dim: int, projection: int, speakers: int) -> None:
        super().__init__()
        self.projection, self.classifier = nn.Linear(dim, projection), nn.Linear(projection, speakers)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) to logits (B, speakers)."""
        return self.classifier(self.projection(pooled(features, lengths)))

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations; the mean comes first, so they do not depend on `frames`."""
        return self.projection.weight.numel() + self.classifier.weight.numel()


class SpeakerExit(Head):
    """The mean over valid frames, and a linear classifier."""

    def __init__(self, dim: int, speakers: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, speakers)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) to logits (B, speakers)."""
        return self.classifier(pooled(features, lengths))

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations, whatever `frames`."""
        return self.classifier.weight.numel()


class SpeakerIdentification(Task):
    """Who of a closed set of speakers says it?"""

    name = "sid"
    title = "Speaker identification"
    metrics = (Metric("accuracy", "Accuracy (%)", True, 100.0),)

    @property
    def classes(self) -> list[str]:
        """What is told apart: the speakers."""
        return self.vocabulary

    @classmethod
    def learn_vocabulary(cls, train: Manifest) -> list[str]:
        """The speakers of the training set, sorted."""
        return sorted({item.speaker for item in train.utterances})

    def head(self, dim: int) -> SpeakerHead:
        """A fresh head."""
        return SpeakerHead(dim, self.options["projection"], len(self.classes))

    def exit_head(self, dim: int) -> SpeakerExit:
        """A fresh linear classifier."""
        return SpeakerExit(dim, len(self.classes))

    def uncertainty(self, output: Tensor, lengths: Tensor) -> Tensor:
        """The entropy over classes (B,)."""
        return frame_entropy(output)

    def example(self, manifest: Manifest, index: int) -> int:
        """The speaker's class."""
        speaker = manifest.utterances[index].speaker
        if speaker not in self.vocabulary:
            raise DaisyError(
                f"the speaker {speaker!r} of {manifest.utterances[index].id} is not in the training set",
                fix="Make the splits again: every SID speaker needs recordings in train, dev and test",
            )
        return self.vocabulary.index(speaker)

    def loss(self, output: Tensor, lengths: Tensor, examples: Sequence[int]) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(output, handed(torch.tensor(examples), output.device))

    def predict(self, output: Tensor, lengths: Tensor, waves: Sequence[Tensor] = ()) -> list[int]:
        """The best class of every utterance."""
        return output.argmax(-1).tolist()

    def score(self, prediction: int, example: int) -> Score:
        """Right or wrong."""
        return {"accuracy": (float(prediction == example), 1.0)}


TASK = SpeakerIdentification
