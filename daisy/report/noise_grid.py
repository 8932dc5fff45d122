"""The questions that claims, figures and the report ask of the noise study."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from daisy.common.columns import read_table
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, Method
from daisy.noise.conditions import CLEAN
from daisy.noise.rows import ALL, NoiseExitRow, NoiseGuardRow, NoiseWerRow, exits_name, wer_order

RHO, STRATEGY = 1.0, "min-max"
"""The cell by which the paper's claims about noise are tested, and which the figures show: of the paper's
choices of candidates this one leaves the exit the most freedom."""

CLAIM_SNR = 10.0
"""The ratio in dB at which the paper's claim about exits is tested."""

LOST = 90.0
"""Word error rate in per cent from which hardly a word is recognised, so that methods cannot be told apart."""


@dataclasses.dataclass(frozen=True)
class NoiseResults:
    """All tables of the study.

    Attributes:
        exits: By task.
        wer: Of the ASR task.
        guard: Of the ASR task.
    """

    exits: dict[str, list[NoiseExitRow]]
    wer: list[NoiseWerRow]
    guard: list[NoiseGuardRow]


def read_noise(folder: Path, tasks: Sequence[str]) -> NoiseResults:
    """Read the tables of a study of `tasks`.

    Raises:
        DaisyError: if one is missing or damaged.
    """
    return NoiseResults(
        {task: read_table(NoiseExitRow, folder / f"{exits_name(task)}.csv") for task in tasks},
        read_table(NoiseWerRow, folder / "noise_wer.csv"),
        read_table(NoiseGuardRow, folder / "noise_guard.csv"),
    )


def kinds_of(rows: Sequence[NoiseExitRow]) -> list[str]:
    """The kinds of noise, in the tables' order; clean speech is none."""
    return [kind for kind in dict.fromkeys(row.kind for row in rows) if kind != CLEAN]


def ratios_of(rows: Sequence[NoiseExitRow]) -> list[float | None]:
    """Clean (None), then the ratios from the highest to the lowest."""
    return [None, *sorted({row.snr_db for row in rows if row.snr_db is not None}, reverse=True)]


def shown_cell(rows: Sequence[NoiseExitRow]) -> tuple[float, str]:
    """The scale and the strategy that the figures show; a run without them shows its largest scale, all layers."""
    rhos = {row.rho for row in rows}
    strategies = {row.strategy for row in rows}
    return RHO if RHO in rhos else max(rhos), STRATEGY if STRATEGY in strategies else ALL


def exit_layers_of(
    rows: Sequence[NoiseExitRow], kind: str, snr_db: float | None, rho: float, strategy: str
) -> list[int]:
    """The exit layers of one condition and cell; clean speech belongs to every kind."""
    wanted = CLEAN if snr_db is None else kind
    return [
        row.exit_layer
        for row in rows
        if (row.kind, row.snr_db, row.rho, row.strategy) == (wanted, snr_db, rho, strategy)
    ]


def mean_exit_of(
    rows: Sequence[NoiseExitRow], kind: str, snr_db: float | None, rho: float, strategy: str
) -> float | None:
    """The mean exit layer of one condition and cell; None if the study lacks it."""
    layers = exit_layers_of(rows, kind, snr_db, rho, strategy)
    return sum(layers) / len(layers) if layers else None


def wer_of(rows: Sequence[NoiseWerRow], kind: str, cell: GridCell) -> list[NoiseWerRow]:
    """A cell's error rates under one kind of noise, clean speech first, then from the highest ratio down."""
    return sorted((row for row in rows if row.kind in (CLEAN, kind) and row.cell == cell), key=wer_order)


def wer_cells(wer: Sequence[NoiseWerRow], rhos: Sequence[float], strategy: str) -> list[GridCell]:
    """The cells that are compared: fixed layers, the full model, and DAISY with one strategy at some scales."""
    methods = {row.cell.method for row in wer}
    fixed = sorted((method for method in methods if method.layer), key=lambda method: method.layer or 0)
    cells = [GridCell(method) for method in [*fixed, *({FULL} & methods)]]
    known = any(method.by_entropy for method in methods)
    return cells + [GridCell(Method("daisy", rho), strategy) for rho in rhos if known]
