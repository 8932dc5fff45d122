"""Settings of the bundle, and of the upstream for s3prl."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class BundleSettings:
    """Config of `daisy.library.bundle`.

    Attributes:
        absolute: A threshold in nats per task and scale (as text), for the rule ``absolute``.
        q: Per task the share that the strategy ``threshold`` asks of a layer.
    """

    absolute: dict[str, dict[str, float]]
    q: dict[str, float]


@dataclasses.dataclass(frozen=True)
class StoppingSettings:
    """Where utterances may stop, as `daisy.library.model.Daisy`'s call takes it; nothing: at the last layer.

    Attributes:
        rho: The scale of the task's threshold.
        strategy: ``avg``, ``min-max`` or ``threshold``.
        task: Whose calibration.
        threshold: In nats, every layer a candidate.
        layer: From 1, always there.
    """

    rho: float | None = None
    strategy: str | None = None
    task: str | None = None
    threshold: float | None = None
    layer: int | None = None
