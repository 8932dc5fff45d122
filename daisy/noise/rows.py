"""The tables of the noise study: their columns, names and order."""

from __future__ import annotations

import dataclasses
import functools

from daisy.exits.cell import GridCell
from daisy.exits.method import Method
from daisy.noise.conditions import CLEAN, WHITE

ALL = "all"
"""The strategy of the study's own: every layer is a candidate, as in training."""

WER_TASK = "asr"
"""The task whose word error rate is measured."""


@dataclasses.dataclass(frozen=True)
class NoiseExitRow:
    """Where a test utterance stops under noise: ``noise.csv`` (ASR) and ``noise_<task>.csv``."""

    kind: str
    snr_db: float | None
    rho: float
    strategy: str
    utterance: str
    exit_layer: int

    @property
    def cell(self) -> GridCell:
        """What the row is about."""
        return GridCell(Method("daisy", self.rho), self.strategy)


@dataclasses.dataclass(frozen=True)
class NoiseWerRow:
    """A method's word error rate in per cent under noise, with its 95% interval: ``noise_wer.csv``."""

    kind: str
    snr_db: float | None
    method: str
    rho: float | None
    strategy: str | None
    wer: float
    ci_low: float
    ci_high: float

    @functools.cached_property
    def cell(self) -> GridCell:
        """What the row is about.

        Raises:
            DaisyError: if there is no such method.
        """
        return GridCell(Method.parse(self.method, self.rho), self.strategy)


@dataclasses.dataclass(frozen=True)
class NoiseGuardRow:
    """DAISY with a floor under its exits, every layer from there on being a candidate: ``noise_guard.csv``."""

    kind: str
    snr_db: float | None
    rho: float
    floor: int
    mean_exit_layer: float
    wer: float
    ci_low: float
    ci_high: float


def order(kind: str, snr_db: float | None) -> tuple[bool, bool, str, float]:
    """Sort key of conditions: clean, recorded noise by kind, white noise; each from the cleanest to the worst."""
    return kind != CLEAN, kind == WHITE, kind, -(snr_db or 0.0)


def exit_order(row: NoiseExitRow) -> tuple[object, ...]:
    """Sort key of exits."""
    return (*order(row.kind, row.snr_db), *row.cell.key, row.utterance)


def wer_order(row: NoiseWerRow) -> tuple[object, ...]:
    """Sort key of error rates."""
    return (*order(row.kind, row.snr_db), *row.cell.key)


def guard_order(row: NoiseGuardRow) -> tuple[object, ...]:
    """Sort key of the guard's table."""
    return (*order(row.kind, row.snr_db), row.rho, row.floor)


def exits_name(task: str) -> str:
    """The name of the table of a task's exits."""
    return "noise" if task == WER_TASK else f"noise_{task}"
