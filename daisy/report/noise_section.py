"""The report's part on noise: what the exits and the error rates do, in sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daisy.exits.method import FULL, rho_text
from daisy.noise.conditions import CLEAN, WHITE
from daisy.noise.rows import ALL, WER_TASK, NoiseExitRow, NoiseGuardRow, NoiseWerRow
from daisy.report import html
from daisy.report.noise_grid import (
    LOST,
    NoiseResults,
    exit_layers_of,
    kinds_of,
    mean_exit_of,
    ratios_of,
    shown_cell,
    wer_cells,
)
from daisy.report.wording import metric_label, noise_label, snr_label, task_title

NOISE_FIGURES = {
    "fig4_noise_exits": (
        "Exit layers under noise (the paper's Fig. 4)",
        "The exit layer of every drawn test recording, on clean speech and at falling signal-to-noise ratio. "
        "Every recording meets the same stretch of noise at all ratios.",
    ),
    "fig5_noise_wer": (
        "Word error rate under noise (the paper's Fig. 5)",
        "The same recordings, noise and forward pass for all methods. No model was trained on noisy speech.",
    ),
}


def _conditions(rows: Sequence[NoiseExitRow]) -> list[tuple[str, float | None]]:
    noisy = [(kind, ratio) for kind in kinds_of(rows) for ratio in ratios_of(rows) if ratio is not None]
    return [(CLEAN, None), *noisy]


def _condition_label(kind: str, snr_db: float | None) -> str:
    return "Clean speech" if kind == CLEAN else f"{noise_label(kind)}, {snr_label(snr_db)}"


def exits_table(rows: Sequence[NoiseExitRow], task: str) -> dict[str, Any]:
    """Mean, and lowest to highest, exit layer per condition and scale."""
    _, strategy = shown_cell(rows)
    rhos = sorted({row.rho for row in rows})
    lines = []
    for kind, snr_db in _conditions(rows):
        cells: list[Any] = [_condition_label(kind, snr_db)]
        for rho in rhos:
            layers = exit_layers_of(rows, kind, snr_db, rho, strategy)
            cells.append(html.number(f"{sum(layers) / len(layers):.2f} ({min(layers)}–{max(layers)})"))
        lines.append(cells)
    header = ("Condition", *(f"ρ {rho_text(rho)}" for rho in rhos))
    count = len({row.utterance for row in rows})
    caption = f"{task_title(task)}, {count} recordings: mean exit layer (lowest–highest), candidates {strategy}"
    return html.table(header, lines, caption, folded=True)


def _wer(row: NoiseWerRow | NoiseGuardRow) -> str:
    return f"{row.wer:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]"


def wer_table(noise: NoiseResults) -> dict[str, Any]:
    """Error rates per condition and method, the best of every condition marked."""
    exits = noise.exits[WER_TASK]
    _, strategy = shown_cell(exits)
    columns = wer_cells(noise.wer, sorted({row.rho for row in exits}), strategy)
    row_of = {(row.kind, row.snr_db, row.cell): row for row in noise.wer}
    lines = []
    for condition in _conditions(exits):
        rows = [row_of[(*condition, cell)] for cell in columns]
        best = min(row.wer for row in rows)
        lines.append([_condition_label(*condition), *(html.number(_wer(row), best=row.wer == best) for row in rows)])
    names = [cell.method.in_words for cell in columns]
    caption = f"{metric_label(WER_TASK, 'wer')} [95% interval], DAISY with candidates {strategy}"
    return html.table(("Condition", *names), lines, caption, folded=True)


def guard_table(guard: Sequence[NoiseGuardRow]) -> dict[str, Any]:
    """Exit layer and error rate with and without a floor, at the largest scale: the one whose exits come first."""
    rho = max(row.rho for row in guard)
    lines = [
        [
            _condition_label(row.kind, row.snr_db),
            "none" if row.floor == 1 else f"layer {row.floor}",
            html.number(f"{row.mean_exit_layer:.2f}"),
            html.number(_wer(row)),
        ]
        for row in guard
        if row.rho == rho
    ]
    header = ("Condition", "Floor", "Exit layer", "WER %")
    caption = f"A floor under DAISY's exits, ρ {rho_text(rho)}; every layer from there on is a candidate"
    return html.table(header, lines, caption, folded=True)


def white_sentence(noise: NoiseResults) -> str:
    """What exits do under white noise at its worst, per scale; empty if it was not studied."""
    rows = noise.exits[WER_TASK]
    ratios = [row.snr_db for row in rows if row.kind == WHITE and row.snr_db is not None]
    if not ratios:
        return ""
    worst = min(ratios)
    others = [kind for kind in kinds_of(rows) if kind != WHITE]
    parts = []
    for rho in sorted({row.rho for row in rows}):
        clean, white = (exit_layers_of(rows, WHITE, ratio, rho, ALL) for ratio in (None, worst))
        means = [sum(part) / len(part) for part in (clean, white)]
        mean_by_kind = {kind: mean_exit_of(rows, kind, worst, rho, ALL) for kind in others}
        notes = [f"{kind} {mean:.2f}" for kind, mean in mean_by_kind.items() if mean is not None]
        notes.append(f"lowest exit {min(clean)} and {min(white)}")
        parts.append(f"{means[0]:.2f} to {means[1]:.2f} at ρ {rho_text(rho)} ({', '.join(notes)})")
    return (
        f"From clean speech to white noise at {worst:g} dB, with every layer as a candidate, the mean exit layer goes "
        f"from {', '.join(parts)}. "
    )


def lost_sentence(wer: Sequence[NoiseWerRow]) -> str:
    """In how many conditions error rates tell little, because the full model too understands hardly a word."""
    full = [row for row in wer if row.cell.method == FULL and row.kind != CLEAN]
    lost = [row for row in full if row.wer >= LOST]
    if not lost:
        return ""
    return (
        f"In {len(lost)} of {len(full)} noisy conditions the full model's word error rate is {LOST:.0f}% or more: "
        "there hardly a word is recognised, and error rates cannot tell the methods apart. "
    )


def guard_sentence(guard: Sequence[NoiseGuardRow]) -> str:
    """What the best floor does for the error rate under the worst white noise, and what it costs on clean speech."""
    noisy = [row for row in guard if row.kind == WHITE and row.snr_db is not None]
    if not noisy:
        return ""
    worst = min(row.snr_db for row in noisy if row.snr_db is not None)
    rho = max(row.rho for row in noisy)
    under = {row.floor: row for row in noisy if (row.snr_db, row.rho) == (worst, rho)}
    clean = {row.floor: row for row in guard if (row.kind, row.rho) == (CLEAN, rho)}
    floors = [floor for floor in under if floor > 1]
    if 1 not in under or not floors:
        return ""
    best = min(floors, key=lambda floor: (under[floor].wer, floor))
    helps = under[best].ci_high < under[1].ci_low
    verdict = "It helps" if helps else "The confidence intervals overlap: the floor is no remedy here"
    before, after = clean[1], clean[best]
    return (
        f"A floor under the exits (thresholds.floor, off by default) at layer {best} moves the word error rate there "
        f"from {under[1].wer:.1f}% to {under[best].wer:.1f}% at ρ {rho_text(rho)}, and on clean speech from "
        f"{before.wer:.1f}% to {after.wer:.1f}%, where the mean exit goes from {before.mean_exit_layer:.2f} to "
        f"{after.mean_exit_layer:.2f}. {verdict}. The downstream model was trained without a floor."
    )


def noise_section(noise: NoiseResults) -> dict[str, Any]:
    """The whole part."""
    tables = [exits_table(rows, task) for task, rows in noise.exits.items()]
    tables.append(wer_table(noise))
    tables += [guard_table(noise.guard)] if noise.guard else []
    text = lost_sentence(noise.wer) + white_sentence(noise) + guard_sentence(noise.guard)
    return html.section("Noise", text or "Exit layers and error rates on clean and on noisy speech.", tables)
