"""What is known, from elsewhere, of results that a run at the paper's scale should come near, each with its source.

The paper gives no numbers that anybody outside has, but four that follow from its shipped thresholds. What others
measured with HuBERT Base was measured on other amounts of data or with other heads; each entry says which.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Shipped:
    """A threshold that the authors ship.

    Attributes:
        tau: In nats.
        rho: The scale that it has, as is inferred (`daisy.report.against_published`).
    """

    tau: float
    rho: float


SHIPPED = {
    "asr": Shipped(0.5145, 0.7),
    "sid": Shipped(0.7595, 0.7),
    "se": Shipped(1.655, 1.0),
    "ss": Shipped(1.13, 1.0),
}
"""By task."""

TEST_RECORDINGS = (
    {"asr": ("librispeech-10h", 2_620), "sid": ("voxceleb1", 8_251), "se": ("voicebank-demand", 824)}
    | {"ss": ("libri2mix", 3_000)}
    | {"ks": ("speech-commands", 3_081), "pr": ("librispeech-100h", 2_620)}
)
"""By task: the published corpus that MiniSUPERB or SUPERB tests on, and how many of its recordings."""


@dataclasses.dataclass(frozen=True)
class Known:
    """A result of HuBERT Base that somebody published.

    Attributes:
        task: The task.
        metric: The metric.
        value: The result, in this project's unit.
        what: What it was measured with, and what differs from `config/paper.yaml`.
        source: Where it stands.
    """

    task: str
    metric: str
    value: float
    what: str
    source: str


SUPERB = "SUPERB (arXiv 2105.01051)"
SUPERB_SG = "SUPERB-SG (arXiv 2203.06849)"

KNOWN = (
    Known("asr", "wer", 6.42, "100 hours in place of 10, 200,000 steps, no language model", SUPERB),
    Known("sid", "accuracy", 81.42, "all of VoxCeleb1 in place of a tenth, the best learning rate (0.1)", SUPERB),
    Known("sid", "accuracy", 70.09, "the same at the learning rate 0.001, which MiniSUPERB has", "issue 268 of s3prl"),
    Known("se", "pesq", 2.58, "all of the training set, an earlier head", SUPERB_SG),
    Known("se", "stoi", 93.9, "all of the training set, an earlier head", SUPERB_SG),
    Known("ss", "si_sdri", 9.36, "all 13,900 mixtures, an earlier head", SUPERB_SG),
    Known("ks", "accuracy", 96.3, "states without layer norm, another second of silence every time", SUPERB),
    Known("pr", "per", 5.41, "states without layer norm, the best learning rate", SUPERB),
)
"""Toplines: all layers, as `full` has them."""

NOISY_INPUT = Known(
    "se", "pesq", 1.97, "VoiceBank-DEMAND's test set as it is, wide-band PESQ", "SEGAN (arXiv 1703.09452)"
)
"""What is tested on, before any model."""
