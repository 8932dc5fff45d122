"""Settings of the stages that run a task's recordings through the frozen model."""

from __future__ import annotations

import dataclasses
from typing import Literal

from daisy.common.compute import Compute
from daisy.hubert.config import States


@dataclasses.dataclass(frozen=True)
class View:
    """What a downstream model sees of an utterance's hidden states.

    Attributes:
        states: Which tensors they are.
        pooled: Whether each state's mean over time stands for all its frames (SID).
        normalise: What of a pooled state is layer-normalised: every one of its ``frames``, or their ``mean``. Of a
            state that is not pooled, every frame is.
    """

    states: States
    pooled: bool = False
    normalise: Literal["frames", "mean"] = "frames"


@dataclasses.dataclass(frozen=True)
class StatesSettings:
    """Config of `daisy.features.states`.

    Attributes:
        view: What is kept.
        storage: Number format on the disk. `float32` where results must equal a run of the model itself.
        batch_seconds: Audio in one forward pass.
        compute: Where; evaluation compares with runs of the model itself, so that the precision is float32.
    """

    view: View
    storage: Literal["float16", "float32"]
    batch_seconds: float
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class EntropiesSettings:
    """Config of `daisy.features.entropies`.

    Attributes:
        batch_seconds: Audio in one forward pass.
        compute: Where, in float32: rounding moves an entropy across a threshold now and then.
        signal: What is measured in the entropy's place (`daisy.exits.signals`).
    """

    batch_seconds: float
    compute: Compute = Compute()
    signal: str = "entropy"


@dataclasses.dataclass(frozen=True)
class SignalsSettings:
    """Config of `daisy.features.signals`.

    Attributes:
        signals: What is measured.
        batch_seconds: Audio in one forward pass.
        compute: Where, in float32.
    """

    signals: tuple[str, ...]
    batch_seconds: float
    compute: Compute = Compute()


@dataclasses.dataclass(frozen=True)
class CalibrationSettings:
    """Config of `daisy.features.calibrate`.

    Attributes:
        task: The task's name.
        rule: ``midrange``, ``quantile`` or ``absolute``.
        rho: The scale.
        absolute: The threshold in nats, for the rule ``absolute``.
        signal: What was measured.
    """

    task: str
    rule: str
    rho: float
    absolute: float | None = None
    signal: str = "entropy"
