"""Curves of an unfinished training, for TensorBoard; the finished ones are tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Curves:
    """Writes a training's values as TensorBoard's events.

    Args:
        folder: Where to; None for nowhere.
        done: Steps of earlier runs; what they wrote beyond that is withdrawn.
    """

    def __init__(self, folder: Path | None, done: int = 0) -> None:
        self._writer = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=done + 1 if done else None)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is not written yet."""
        if self._writer is not None:
            self._writer.close()
