"""The paper's claims, and one target of this project's own, held against a run's tables."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

from daisy.evaluation.rows import EntropyRow, GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, Method, rho_text
from daisy.noise.conditions import WHITE
from daisy.noise.rows import NoiseExitRow, NoiseWerRow
from daisy.report.grid import daisy_of, fastest_match, input_of, metrics_of, rows_of, tasks_of
from daisy.report.noise_grid import CLAIM_SNR, RHO, STRATEGY, NoiseResults, kinds_of, mean_exit_of, wer_of
from daisy.report.wording import cell_label, decimals, metric_label, noise_label, task_title

Verdict = Literal["holds", "fails", "not tested"]

NEAR_LAYERS = 0.25
"""Cells whose mean exits lie closer than this are not compared in speed: the clock cannot tell them apart."""

NEAR_ENTROPY = 1.05
"""The last layer's entropy may exceed the lowest by this factor."""

TARGET_RHO, TARGET_STRATEGY, TARGET_SPEEDUP = 1.0, "avg", 1.2
"""The project's own target."""

LATER = 1.0
"""Layers by which the mean exit under noise at 10 dB must lie above the one on clean speech."""


CLAIM_CELL = GridCell(Method("daisy", RHO), STRATEGY)
"""The cell by which the claims about noise are tested."""

TARGET_GAINS = {"pesq": 0.15, "stoi": 0.0, "si_sdri": 3.0}
"""Least gains of the full model over the unprocessed input, in each metric's unit."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim and how it fared.

    Attributes:
        title: The claim, one sentence.
        verdict: ``holds``, ``fails`` or ``not tested``.
        detail: The numbers behind the verdict.
    """

    title: str
    verdict: Verdict
    detail: str


def _verdict(holds: bool) -> Verdict:
    return "holds" if holds else "fails"


def _scope(task: str, metric: str) -> str:
    return f"{task_title(task)} – {metric_label(task, metric)}"


def _best(rows: Sequence[GridRow]) -> GridRow:
    return max(rows, key=lambda row: (row.value if row.higher_is_better else -row.value, row.speedup_vs_full))


def _value(row: GridRow, *, interval: bool = False) -> str:
    places = decimals(row.ci_high - row.ci_low)
    text = f"{row.value:.{places}f}"
    return f"{text} [{row.ci_low:.{places}f}, {row.ci_high:.{places}f}]" if interval else text


def _speed(row: GridRow) -> str:
    return f"{row.speedup_vs_full:.2f}×"


def keeps_quality(grid: Sequence[GridRow], task: str, metric: str) -> Claim:
    """Some DAISY cell is inside the full model's confidence interval, or better, and faster."""
    title = f"{_scope(task, metric)}: DAISY keeps the full model's result and is faster"
    rows = rows_of(grid, task, metric)
    full, cells = next((row for row in rows if row.cell.method == FULL), None), daisy_of(rows)
    if full is None or not cells:
        return Claim(title, "not tested", f"The run has no {'DAISY cell' if full else 'full model'} for this task.")
    fastest = fastest_match(rows)
    shown = fastest or _best(cells)
    role = "Fastest such cell" if fastest else "No cell does both. Best cell"
    detail = f"{role}: {cell_label(shown.cell)}, {_value(shown)} at {_speed(shown)}"
    return Claim(title, _verdict(fastest is not None), f"{detail}; full model {_value(full, interval=True)}.")


def beats_fixed_exit(grid: Sequence[GridRow], task: str, metric: str, method: Method) -> Claim:
    """Some DAISY cell is as good as a fixed exit, or better, for no more operations."""
    rows = rows_of(grid, task, metric)
    title = f"{_scope(task, metric)}: DAISY is at least as good as the {method.in_words} at no more cost"
    fixed, cells = next((row for row in rows if row.cell.method == method), None), daisy_of(rows)
    if fixed is None or not cells:
        missing = "DAISY cell" if fixed else method.in_words
        return Claim(title, "not tested", f"The run has no {missing} for this task.")
    cheap = [row for row in cells if row.macs_per_second <= fixed.macs_per_second]
    cost = f"{fixed.macs_per_second / 1e9:#.3g} billion MACs per second of audio"
    reference = f"{method.in_words} {_value(fixed, interval=True)} at {cost}"
    if not cheap:
        least = min(cells, key=lambda row: row.macs_per_second)
        detail = f"No cell costs as little. Cheapest: {cell_label(least.cell)}, {_value(least)} at {_cost(least)}"
        return Claim(title, "fails", f"{detail}; {reference}.")
    best = _best(cheap)
    detail = f"Best cell that costs no more: {cell_label(best.cell)}, {_value(best)} at {_cost(best)}; {reference}."
    return Claim(title, _verdict(best.reaches(fixed.value)), detail)


def matches_task_exits(grid: Sequence[GridRow], task: str, metric: str) -> Claim:
    """Some DAISY cell is as good as the best cell of exits trained for the task, or better, for no more operations."""
    title = f"{_scope(task, metric)}: DAISY, trained once, does as well as exits trained for the task, at no more cost"
    rows = rows_of(grid, task, metric)
    best, cells = _best([row for row in rows if row.cell.method.kind == "task-ee"]), daisy_of(rows)
    if not cells:
        return Claim(title, "not tested", "The run has no DAISY cell for this task.")
    cheap = [row for row in cells if row.macs_per_second <= best.macs_per_second]
    reference = f"best cell of the task's own exits: {cell_label(best.cell)}, {_value(best, interval=True)} at"
    shown = _best(cheap) if cheap else min(cells, key=lambda row: row.macs_per_second)
    role = "Best cell that costs no more" if cheap else "No cell costs as little. Cheapest"
    detail = f"{role}: {cell_label(shown.cell)}, {_value(shown)} at {_cost(shown)}; {reference} {_cost(best)}"
    holds = bool(cheap) and shown.reaches(best.value)
    return Claim(title, _verdict(holds), f"{detail} MACs per second of audio.")


def _cost(row: GridRow) -> str:
    return f"{row.macs_per_second / 1e9:#.3g} billion"


def gains_over_input(grid: Sequence[GridRow], task: str, metric: str) -> Claim | None:
    """The full model improves on the recordings as they are; None where these cannot be scored."""
    before = input_of(grid, task, metric)
    if before is None:
        return None
    least = TARGET_GAINS.get(metric, 0.0)
    wanted = f"by at least {least:g}" if least else "or at least does not lower it"
    title = f"This project's own target: {_scope(task, metric)}: the full model improves the input {wanted}"
    full = next((row for row in rows_of(grid, task, metric) if row.cell.method == FULL), None)
    if full is None:
        return Claim(title, "not tested", "The run has no full model for this task.")
    gain = (full.value - before.value) * (1 if full.higher_is_better else -1)
    detail = f"Input {_value(before)}, full model {_value(full, interval=True)}: a gain of {gain:.3g}."
    return Claim(title, _verdict(gain >= least), detail)


def entropy_falls(entropy: Sequence[EntropyRow], task: str) -> Claim:
    """The last layer's mean entropy is the lowest, or within 5% of it."""
    title = f"{task_title(task)}: entropy falls with depth"
    rows = sorted((row for row in entropy if row.task == task), key=lambda row: row.layer)
    if len(rows) < 2:
        return Claim(title, "not tested", "The run has no calibration for this task.")
    first, last, lowest = rows[0], rows[-1], min(rows, key=lambda row: row.mean_entropy)
    detail = (
        f"Mean entropy {first.mean_entropy:.3f} nats at layer {first.layer}, {last.mean_entropy:.3f} at layer "
        f"{last.layer}; lowest {lowest.mean_entropy:.3f} at layer {lowest.layer}."
    )
    return Claim(title, _verdict(last.mean_entropy <= NEAR_ENTROPY * lowest.mean_entropy), detail)


def speed_follows_exits(grid: Sequence[GridRow], task: str) -> Claim:
    """Of two DAISY cells, the one that stops earlier is faster."""
    title = f"{task_title(task)}: the earlier the exit, the faster"
    pairs = [
        sorted(pair, key=lambda row: row.mean_exit_layer)
        for pair in itertools.combinations(daisy_of(rows_of(grid, task)), 2)
        if abs(pair[0].mean_exit_layer - pair[1].mean_exit_layer) >= NEAR_LAYERS
    ]
    apart = f"mean exits at least {NEAR_LAYERS:g} layers apart"
    if not pairs:
        return Claim(title, "not tested", f"No two DAISY cells have {apart}.")
    ordered = sum(early.speedup_vs_full > late.speedup_vs_full for early, late in pairs)
    detail = f"{ordered} of {len(pairs)} pairs of cells with {apart} ({100 * ordered / len(pairs):.0f}%)."
    return Claim(title, _verdict(ordered == len(pairs)), detail)


def reaches_target(grid: Sequence[GridRow]) -> Claim:
    """The project's own target: a least speed-up at one named cell, on at least one task."""
    cell = f"ρ {TARGET_RHO:.1f} with {TARGET_STRATEGY}"
    title = f"This project's own target: {cell} is at least {TARGET_SPEEDUP:g}× as fast as the full model on a task"
    rows = [
        row
        for task in tasks_of(grid)
        for row in daisy_of(rows_of(grid, task))
        if row.cell == GridCell(Method("daisy", TARGET_RHO), TARGET_STRATEGY)
    ]
    if not rows:
        return Claim(title, "not tested", f"The run has no cell at {cell}.")
    detail = ", ".join(f"{task_title(row.task)} {_speed(row)}" for row in rows)
    return Claim(title, _verdict(max(row.speedup_vs_full for row in rows) >= TARGET_SPEEDUP), f"{detail}.")


def exits_later(exits: Sequence[NoiseExitRow], task: str, kind: str) -> Claim:
    """Mean exits rise from clean speech to 20 dB to 10 dB, by at least `LATER` layers in all."""
    title = f"{task_title(task)}, {noise_label(kind).lower()}: the noisier the speech, the later the exit"
    exits_by_snr = [mean_exit_of(exits, kind, snr_db, RHO, STRATEGY) for snr_db in (None, 20.0, CLAIM_SNR)]
    means = [mean for mean in exits_by_snr if mean is not None]
    cell = f"ρ {rho_text(RHO)} with {STRATEGY}"
    if len(means) < 3:
        return Claim(title, "not tested", f"The run lacks {cell} on clean speech, at 20 dB or at 10 dB.")
    clean, light, heavy = means
    detail = (
        f"Mean exit layer {clean:.2f} on clean speech, {light:.2f} at 20 dB, {heavy:.2f} at 10 dB ({cell}); "
        f"the claim asks for each to be above the one before, and for {LATER:g} layer in all."
    )
    return Claim(title, _verdict(clean < light < heavy and heavy - clean >= LATER), detail)


def withstands_noise(wer: Sequence[NoiseWerRow], kind: str, method: Method) -> Claim:
    """DAISY's word error rate under noise is at most a fixed exit's, at every ratio."""
    title = f"{noise_label(kind)}: DAISY's word error rate is at most that of the {method.in_words}"
    fixed = {row.snr_db: row.wer for row in wer_of(wer, kind, GridCell(method)) if row.kind == kind}
    daisy = {row.snr_db: row.wer for row in wer_of(wer, kind, CLAIM_CELL) if row.kind == kind}
    ratios = [snr_db for snr_db in daisy if snr_db in fixed]
    cell = f"ρ {rho_text(RHO)} with {STRATEGY}"
    if not ratios:
        return Claim(title, "not tested", f"The run lacks {cell} or the {method.in_words} under this noise.")
    numbers = ", ".join(f"{daisy[ratio]:.1f} against {fixed[ratio]:.1f} at {ratio:g} dB" for ratio in ratios)
    holds = all(daisy[ratio] <= fixed[ratio] for ratio in ratios)
    return Claim(title, _verdict(holds), f"Per cent, DAISY at {cell}: {numbers}.")


def noise_claims(noise: NoiseResults, fixed: Sequence[Method]) -> list[Claim]:
    """The claims about recorded noise; white noise is not the paper's, and the report tells of it by itself."""
    kinds = [kind for kind in kinds_of(next(iter(noise.exits.values()))) if kind != WHITE]
    return [
        *(exits_later(rows, task, kind) for task, rows in noise.exits.items() for kind in kinds),
        *(withstands_noise(noise.wer, kind, method) for method in fixed for kind in kinds),
    ]


def claims(grid: Sequence[GridRow], entropy: Sequence[EntropyRow], noise: NoiseResults | None = None) -> list[Claim]:
    """All claims, kind by kind, for every task and metric of the grid; those about noise if it was studied."""
    tasks = tasks_of(grid)
    pairs = [(task, metric) for task in tasks for metric in metrics_of(grid, task)]
    trained = {row.task for row in grid if row.cell.method.kind == "task-ee"}
    fixed = list(dict.fromkeys(row.cell.method for row in grid if row.cell.method.layer)) or [Method("layer", layer=6)]
    return [
        *(keeps_quality(grid, task, metric) for task, metric in pairs),
        *(beats_fixed_exit(grid, task, metric, method) for method in fixed for task, metric in pairs),
        *(matches_task_exits(grid, task, metric) for task, metric in pairs if task in trained),
        *(entropy_falls(entropy, task) for task in tasks),
        *(speed_follows_exits(grid, task) for task in tasks),
        *(claim for task, metric in pairs if (claim := gains_over_input(grid, task, metric))),
        *(noise_claims(noise, fixed) if noise else []),
        reaches_target(grid),
    ]
