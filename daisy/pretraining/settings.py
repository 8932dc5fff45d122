"""Settings of the stage that exports the pre-trained model."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class CardSettings:
    """Config of `daisy.pretraining.export`: what the model card says beside what it measures.

    Attributes:
        title: The model's name.
        tool: What trained it, and where.
        targets: What it was trained to predict.
    """

    title: str
    tool: str
    targets: str
