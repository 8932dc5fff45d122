"""Learning rates as functions of the step alone, so that there is no state to resume."""

from __future__ import annotations


def rising_and_falling(step: int, steps: int, warmup: int) -> float:
    """The share of the highest learning rate at a step, from 1: it rises for `warmup` steps, and is 0 at the last."""
    rising, falling = step / max(1, warmup), (steps - step) / max(1, steps - warmup)
    return max(0.0, min(rising, falling, 1.0))
