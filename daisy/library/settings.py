"""Settings of the bundle."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class BundleSettings:
    """Config of `daisy.library.bundle`.

    Attributes:
        absolute: A threshold in nats per task and scale (as text), for the rule ``absolute``.
        q: Per task the share that the strategy ``threshold`` asks of a layer.
        floor: The first layer at which anybody may stop.
    """

    absolute: dict[str, dict[str, float]]
    q: dict[str, float]
    floor: int = 1
