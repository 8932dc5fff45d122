"""Settings of the stages that run a task's recordings through the frozen model."""

from __future__ import annotations

import dataclasses
from typing import Literal

from daisy.common.compute import Compute


@dataclasses.dataclass(frozen=True)
class FeaturesSettings:
    """Config of `daisy.features.states`.

    Attributes:
        pooled: Keep the mean over time of each normalised state instead of all frames (SID).
        storage: Number format on the disk. `float32` where results must equal a run of the model itself.
        batch_seconds: Audio in one forward pass.
        keep: Whether the states are kept on the disk; otherwise they are streamed when they are needed.
        compute: Where; evaluation compares with runs of the model itself, so that the precision is float32.
    """

    pooled: bool
    storage: Literal["float16", "float32"]
    batch_seconds: float
    keep: bool = True
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class CalibrationSettings:
    """Config of `daisy.features.calibrate`.

    Attributes:
        task: The task's name.
        rule: ``midrange`` or ``absolute``.
        rho: The scale.
        absolute: A threshold in nats per task, for the rule ``absolute``.
    """

    task: str
    rule: str
    rho: float
    absolute: dict[str, float]
