"""Phoneme recognition: two linear layers, CTC over phones, greedy decoding (SUPERB, the head of s3prl's ctc).

A transcript is the phones with spaces between them: ``ih1 t s``. What makes them of words is the corpus
(`daisy.corpora.phones`, `daisy.corpora.published.librispeech_100h`). The head is the speech recogniser's without its
LSTM, since s3prl's is of the same kind: a projection, and a linear layer that gives a log-probability per phone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from daisy.tasks.asr import SpeechRecognition
from daisy.tasks.base import Metric

LINEAR = {"hidden": 0, "layers": 0, "dropout": 0.0, "stride": 1}
"""What the recogniser's head is told to be linear."""


class PhonemeRecognition(SpeechRecognition):
    """Which phones are said?"""

    name = "pr"
    title = "Phoneme recognition"
    metrics = (Metric("per", "Phone error rate (%)", False, 100.0),)
    between = " "

    def __init__(self, options: Mapping[str, Any], vocabulary: Sequence[str]) -> None:
        super().__init__({**options, **LINEAR}, vocabulary)

    @classmethod
    def spelt(cls, text: str) -> list[str]:
        """The phones of a transcript."""
        return text.split()

    def augment(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The features as they are: s3prl has no SpecAugment here."""
        return features


TASK = PhonemeRecognition
