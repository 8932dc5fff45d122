"""Settings of the stages that make the targets of exit branches."""

from __future__ import annotations

import dataclasses
from typing import Literal

from daisy.common.compute import Compute


@dataclasses.dataclass(frozen=True)
class DumpSettings:
    """Config of `daisy.targets.dump`.

    Attributes:
        layer: The layer to dump, from 1, or ``"mfcc"``.
        share: The share of an utterance's frames to keep, above 0 and at most 1.
        utterances: The share of utterances that are run through the model at all, above 0 and at most 1.
        seed: Seed of the draw.
        batch_seconds: Audio in one forward pass.
        compute: Where, and how precisely.
    """

    layer: int | str
    share: float = 1.0
    utterances: float = 1.0
    seed: int = 0
    batch_seconds: float = 60.0
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class KMeansSettings:
    """Config of `daisy.targets.kmeans`.

    Attributes:
        clusters: C, the number of clusters.
        seed: `random_state` of the clustering.
        layer: Where the frames are from; kept with the centroids.
    """

    clusters: int
    seed: int
    layer: int | str


@dataclasses.dataclass(frozen=True)
class LabelSettings:
    """Config of `daisy.targets.label`.

    Attributes:
        kind: ``kmeans`` (nearest centroid) or ``head`` (the pre-training head's best class).
        layer: The layer whose frames are labelled, from 1, or ``"mfcc"``; unused for ``head``.
        batch_seconds: Audio in one forward pass.
        compute: Where, and how precisely.
    """

    kind: Literal["kmeans", "head"]
    layer: int | str = 0
    batch_seconds: float = 60.0
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class JoinSettings:
    """Config of `daisy.targets.join`.

    Attributes:
        classes: C, where it is known; 0 for the classes of the checkpoint's pre-training head.
    """

    classes: int = 0
