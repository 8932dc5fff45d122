"""The paper's claims about noise, held against the tables of the noise study."""

from __future__ import annotations

from collections.abc import Sequence

from daisy.exits.cell import GridCell
from daisy.exits.method import Method
from daisy.noise.conditions import WHITE
from daisy.noise.rows import WER_TASK, NoiseExitRow, NoiseWerRow
from daisy.report.claim import NO, YES, Asked, ClaimRow, verdict
from daisy.report.noise_grid import (
    CLAIM_SNR,
    LOST,
    RHO,
    STRATEGY,
    NoiseResults,
    kinds_of,
    mean_exit_of,
    wer_of,
)
from daisy.report.wording import cell_label, noise_label

LATER_EXITS = "The noisier the speech, the later the exit"
FEWER_ERRORS = "Under noise, DAISY makes no more errors than a fixed exit"

LATER = 1.0
"""Layers by which the mean exit under noise at 10 dB must lie above the one on clean speech."""

CLAIM_CELL = GridCell(Method("daisy", RHO), STRATEGY)
"""The cell by which the claims about noise are tested."""


def exits_later(exits: Sequence[NoiseExitRow], task: str, kind: str, layers: int) -> ClaimRow:
    """Mean exits rise from clean speech to 20 dB to 10 dB, by at least `LATER` layers in all.

    Args:
        exits: Where the task's recordings stop.
        task: The task.
        kind: The noise.
        layers: K.
    """
    asked = Asked(
        LATER_EXITS,
        task,
        f"{noise_label(kind)}: from clean speech to 20 dB to 10 dB each later than before, by {LATER:g} layer in all",
    )
    exits_by_snr = [mean_exit_of(exits, kind, snr_db, RHO, STRATEGY) for snr_db in (None, 20.0, CLAIM_SNR)]
    means = [mean for mean in exits_by_snr if mean is not None]
    cell = cell_label(CLAIM_CELL)
    if len(means) < 3:
        return asked.untold(f"The run lacks {cell} on clean speech, at 20 dB or at 10 dB.")
    clean, light, heavy = means
    numbers = f"Mean exit layer {clean:.2f} on clean speech, {light:.2f} at 20 dB, {heavy:.2f} at 10 dB ({cell})."
    if clean > layers - LATER:
        return asked.untold(
            "Clean speech runs nearly all layers already, which leaves no room for later exits.", numbers
        )
    rises, shift = clean < light < heavy, heavy - clean
    reason = "" if rises or shift < LATER else "They are later in all, but not from each condition to the next."
    return asked.answer(verdict(rises and shift >= LATER), numbers, reason)


def withstands_noise(wer: Sequence[NoiseWerRow], kind: str, method: Method) -> ClaimRow:
    """DAISY's word error rate under noise is at most a fixed exit's, at every ratio where words are recognised."""
    asked = Asked(FEWER_ERRORS, WER_TASK, f"{noise_label(kind)}: at most the word error rate of the {method.in_words}")
    fixed = {row.snr_db: row for row in wer_of(wer, kind, GridCell(method)) if row.kind == kind}
    daisy = {row.snr_db: row for row in wer_of(wer, kind, CLAIM_CELL) if row.kind == kind}
    pairs = [(daisy[ratio], fixed[ratio]) for ratio in daisy if ratio in fixed]
    cell = cell_label(CLAIM_CELL)
    if not pairs:
        return asked.untold(f"The run lacks {cell} or the {method.in_words} under this noise.")
    each = ", ".join(f"{own.wer:.1f} against {other.wer:.1f} at {own.snr_db:g} dB" for own, other in pairs)
    numbers = f"Per cent, {cell}: {each}."
    heard = [pair for pair in pairs if min(row.wer for row in pair) < LOST]
    if not heard:
        return asked.untold(f"At every ratio {LOST:.0f}% of the words and more are wrong for both.", numbers)
    worse = [(own, other) for own, other in heard if own.wer > other.wer]
    if any(own.wer > other.ci_high for own, other in worse):
        return asked.answer(NO, numbers)
    if worse:
        ratios = ", ".join(f"{own.snr_db:g} dB" for own, _ in worse)
        return asked.untold(f"At {ratios} it is worse, but inside the other's interval: too few recordings.", numbers)
    return asked.answer(YES, numbers)


def noise_claims(noise: NoiseResults, fixed: Sequence[Method], layers: int) -> list[ClaimRow]:
    """The claims about recorded noise; white noise is not the paper's, and the report tells of it by itself."""
    kinds = [kind for kind in kinds_of(next(iter(noise.exits.values()))) if kind != WHITE]
    return [
        *(exits_later(rows, task, kind, layers) for task, rows in noise.exits.items() for kind in kinds),
        *(withstands_noise(noise.wer, kind, method) for method in fixed for kind in kinds),
    ]
