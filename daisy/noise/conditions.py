"""The conditions of the noise study: which recording of a noisy test set is what.

A module of its own, so that a change in what is asked of the results leaves the noisy recordings as they are.
"""

from __future__ import annotations

import dataclasses

CLEAN, WHITE = "clean", "white"
"""Speech without noise, in whose rows ``snr_db`` is empty; and noise that is generated, not recorded."""


@dataclasses.dataclass(frozen=True)
class ConditionRow:
    """One noisy recording: ``conditions.csv``.

    Attributes:
        id: Its name in the manifest.
        utterance: The test recording.
        kind: The noise; ``clean`` for none.
        snr_db: The signal-to-noise ratio in dB; None for clean speech.
        noise: The recording that the noise is from; None for white noise and clean speech.
        scale: What the mixture was multiplied by so that it does not clip.
    """

    id: str
    utterance: str
    kind: str
    snr_db: float | None
    noise: str | None
    scale: float
