"""The paper's claims about the grid, and this project's own targets, held against a run's tables."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from daisy.evaluation.rows import CandidateRow, DevRow, EntropyRow, GridRow
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, STUDENT, Method
from daisy.report.choice import best, choose
from daisy.report.claim import NO, OPEN, YES, Asked, ClaimRow, Holds, verdict
from daisy.report.grid import daisy_of, fixed_exits, input_of, metrics_of, row_of, rows_of, tasks_of
from daisy.report.ground import clock, no_ground, nothing
from daisy.report.noise_claims import noise_claims
from daisy.report.noise_grid import NoiseResults
from daisy.report.wording import cell_label, metric_label, speed_text, task_title, value_text

KEPT = "DAISY keeps the full model's result and is faster"
FIXED = "DAISY is at least as good as a fixed exit, at no more cost"
OWN_EXITS = "DAISY, trained once, does as well as exits trained for the task, at no more cost"
DISTILLED = "A distilled student does not take DAISY's place: it is worse, or costs more"
FALLS = "Entropy falls with depth"
FASTER = "The earlier the exit, the faster"
TARGETS = "This project's own targets"

NEAR_LAYERS = 0.25
"""Cells whose mean exits lie closer than this are not compared in speed: the clock cannot tell them apart."""

NEAR_ENTROPY = 1.05
"""The last layer's entropy may exceed the lowest by this factor."""

TARGET_CELL, TARGET_SPEEDUP = GridCell(Method("daisy", 1.0), "avg"), 1.2
"""The project's own target of speed."""

TARGET_GAINS = {"pesq": 0.15, "stoi": 0.0, "si_sdri": 3.0}
"""Least gains of the full model over the unprocessed input, in each metric's unit."""


SAME_COST = 1.02
"""How much more a cell that was cheap enough on the dev set may cost on the test set, whose recordings are others."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What claims are held against.

    Attributes:
        grid: Results on the test sets.
        entropy: Mean entropies of the training sets.
        candidates: The candidate layers of every cell.
        noise: The noise study, if there is one.
        speakers: The speakers that a task's training knows, by task.
        target_layer: The layer whose clusters the branches were trained on; None where targets are no clusters.
        choosing: The table from which the cell that a claim asks for is chosen; by default the grid itself.
    """

    grid: Sequence[GridRow]
    entropy: Sequence[EntropyRow] = ()
    candidates: Sequence[CandidateRow] = ()
    noise: NoiseResults | None = None
    speakers: Mapping[str, int] = dataclasses.field(default_factory=dict)
    target_layer: int | None = None
    choosing: Sequence[DevRow] | None = None

    def table(self, task: str, metric: str) -> list[DevRow]:
        """The rows by which a cell of the task is chosen."""
        every: Sequence[DevRow] = self.grid if self.choosing is None else self.choosing
        return rows_of(every, task, metric)

    def no_ground(self, row: GridRow, name: str) -> str:
        """Why a result is nothing to compare with; empty if it is something."""
        return no_ground(row, nothing(self.grid, self.speakers, row.task, row.metric), name)


def _cost(row: GridRow) -> str:
    return f"{row.macs_per_second / 1e9:#.3g} billion"


def keeps_quality(seen: Evidence, task: str, metric: str) -> ClaimRow:
    """The chosen DAISY cell is inside the full model's confidence interval, or better, and faster."""
    asked = Asked(KEPT, task, f"{metric_label(task, metric)}: in the full model's interval, or better, and faster")
    rows = rows_of(seen.grid, task, metric)
    full, cells = row_of(rows, GridCell(FULL)), daisy_of(rows)
    if full is None or not cells:
        return asked.untold(f"The run has no {'DAISY cell' if full else 'full model'} for this task.")
    topline = f"full model {value_text(full, interval=True)}"
    trouble = seen.no_ground(full, "full model") or clock(rows)
    if trouble:
        return asked.untold(trouble, f"{topline[0].upper()}{topline[1:]}.")
    shown = row_of(cells, choose(seen.table(task, metric)))
    if shown is None:
        near = max(cells, key=lambda row: (row.reaches(full.worse_end), row.speedup_vs_full))
        numbers = f"Nearest: {cell_label(near.cell)}, {value_text(near)} at {speed_text(near)}; {topline}."
        return asked.answer(NO, numbers, "No cell that costs less keeps the result.")
    numbers = f"{cell_label(shown.cell)}: {value_text(shown)} at {speed_text(shown)}; {topline}."
    if not shown.reaches(full.worse_end):
        return asked.answer(NO, numbers, "No cell was chosen that keeps the result on the test set.")
    saved = 100 * (1 - shown.macs_per_second / full.macs_per_second)
    reason = f"It saves {saved:.0f}% of the operations, but by the clock its checks cost what the layers save."
    return asked.answer(YES, numbers) if shown.speedup_vs_full > 1 else asked.answer(NO, numbers, reason)


def as_good(row: GridRow, other: GridRow) -> tuple[Holds, str]:
    """Whether a result is at least as good as another, and why it cannot be told.

    Worse by no more than the other's interval allows is not told apart.
    """
    if row.reaches(other.value):
        return YES, ""
    if row.reaches(other.worse_end):
        return OPEN, "It is worse, but inside the other's interval: too few test utterances to tell them apart."
    return NO, ""


def beats_fixed_exit(seen: Evidence, task: str, metric: str, method: Method) -> ClaimRow:
    """The chosen DAISY cell is as good as a fixed exit, or better, for no more operations."""
    asked = Asked(
        FIXED, task, f"{metric_label(task, metric)}: at least as good as the {method.in_words}, at no more cost"
    )
    rows = rows_of(seen.grid, task, metric)
    fixed = row_of(rows, GridCell(method))
    if fixed is None or not daisy_of(rows):
        missing = "DAISY cell" if fixed else method.in_words
        return asked.untold(f"The run has no {missing} for this task.")
    return _no_dearer(asked, seen, fixed, f"{method.in_words}:")


def matches_task_exits(seen: Evidence, task: str, metric: str) -> ClaimRow:
    """The chosen DAISY cell is as good as the best of exits trained for the task, or better, for no more operations."""
    asked = Asked(OWN_EXITS, task, f"{metric_label(task, metric)}: at least as good as the task's own exits")
    rows = rows_of(seen.grid, task, metric)
    own = row_of(rows, best(seen.table(task, metric), "task-ee"))
    if own is None or not daisy_of(rows):
        return asked.untold("The run has no cells to compare for this task.")
    return _no_dearer(asked, seen, own, f"best cell of the task's own exits, {cell_label(own.cell)}:")


def outlives_student(seen: Evidence, task: str, metric: str) -> ClaimRow:
    """A student that was distilled from the same model is worse than the chosen DAISY cell, or costs more."""
    asked = Asked(DISTILLED, task, f"{metric_label(task, metric)}: a distilled student is worse, or costs more")
    rows = rows_of(seen.grid, task, metric)
    student, shown = row_of(rows, GridCell(STUDENT)), row_of(daisy_of(rows), choose(seen.table(task, metric)))
    if student is None:
        return asked.untold("The run has no student for this task.")
    reference = f"distilled student {value_text(student, interval=True)} at {_cost(student)} MACs per second of audio"
    if shown is None:
        return asked.untold("No DAISY cell that costs less keeps the full model's result.", f"{reference}.")
    numbers = f"{cell_label(shown.cell)}: {value_text(shown, interval=True)} at {_cost(shown)}; {reference}."
    trouble = seen.no_ground(shown, "chosen DAISY cell")
    if trouble:
        return asked.untold(trouble, numbers)
    if student.macs_per_second > shown.macs_per_second:
        return asked.answer(YES, numbers, "The student costs more.")
    holds, doubt = as_good(student, shown)
    return asked.answer({YES: NO, NO: YES}.get(holds, OPEN), numbers, doubt)


def _no_dearer(asked: Asked, seen: Evidence, other: GridRow, name: str) -> ClaimRow:
    """The verdict on the chosen cell that costs no more than another does."""
    rows = rows_of(seen.grid, other.task, other.metric)
    reference = f"{name} {value_text(other, interval=True)} at {_cost(other)} MACs per second of audio"
    trouble = seen.no_ground(other, other.cell.method.in_words)
    if trouble:
        return asked.untold(trouble, f"{reference[0].upper()}{reference[1:]}.")
    shown = row_of(rows, choose(seen.table(other.task, other.metric), within=other.cell))
    reason = _depth_is_idle(rows, other)
    if shown is None:
        least = min(daisy_of(rows), key=lambda row: row.macs_per_second)
        numbers = f"Cheapest cell: {cell_label(least.cell)}, {value_text(least)} at {_cost(least)}; {reference}."
        return asked.answer(NO, numbers, " ".join(["No cell costs as little.", *([reason] if reason else [])]))
    numbers = f"{cell_label(shown.cell)}: {value_text(shown)} at {_cost(shown)}; {reference}."
    if shown.macs_per_second > SAME_COST * other.macs_per_second:
        return asked.answer(NO, numbers, "It was cheap enough on the dev set, and is not on the test set.")
    holds, doubt = as_good(shown, other)
    return asked.answer(holds, numbers, doubt or (reason if holds == NO else ""))


def _depth_is_idle(rows: Sequence[GridRow], other: GridRow) -> str:
    """Why a fixed exit is hard to beat, if it does what the full model does."""
    full = row_of(rows, GridCell(FULL))
    if full is None or other.cell.method.kind != "layer":
        return ""
    if not other.reaches(full.worse_end):
        return ""
    return (
        f"The layers above layer {other.cell.method.layer} add nothing to this task here: there the result is the full "
        "model's already, so that later exits have nothing to gain."
    )


def entropy_falls(seen: Evidence, task: str) -> ClaimRow:
    """The last layer's mean entropy is the lowest, or within 5% of it."""
    asked = Asked(FALLS, task, "The last layer's mean entropy is the lowest, or within 5% of it")
    rows = sorted((row for row in seen.entropy if row.task == task), key=lambda row: row.layer)
    if len(rows) < 2:
        return asked.untold("The run has no calibration for this task.")
    first, last, lowest = rows[0], rows[-1], min(rows, key=lambda row: row.mean_entropy)
    numbers = (
        f"{first.mean_entropy:.3f} nats at layer {first.layer}, {last.mean_entropy:.3f} at layer {last.layer}; lowest "
        f"{lowest.mean_entropy:.3f} at layer {lowest.layer}."
    )
    falls = last.mean_entropy <= NEAR_ENTROPY * lowest.mean_entropy
    reason = "The branches' targets are clusters of that layer, which is the easiest to read them from."
    return asked.answer(verdict(falls), numbers, reason if not falls and lowest.layer == seen.target_layer else "")


def speed_follows_exits(seen: Evidence, task: str) -> ClaimRow:
    """Of two DAISY cells, the one that stops earlier is faster."""
    apart = f"mean exits at least {NEAR_LAYERS:g} layers apart"
    asked = Asked(FASTER, task, f"Of two cells with {apart}, the earlier is the faster")
    rows = rows_of(seen.grid, task)
    pairs = [
        sorted(pair, key=lambda row: row.mean_exit_layer)
        for pair in itertools.combinations(daisy_of(rows), 2)
        if abs(pair[0].mean_exit_layer - pair[1].mean_exit_layer) >= NEAR_LAYERS
    ]
    if not pairs:
        return asked.untold(f"No two DAISY cells have {apart}.")
    wrong = [(early, late) for early, late in pairs if early.speedup_vs_full <= late.speedup_vs_full]
    right = len(pairs) - len(wrong)
    numbers = f"{right} of {len(pairs)} pairs of cells ({100 * right / len(pairs):.0f}%)."
    trouble = clock(rows)
    if trouble:
        return asked.untold(trouble, numbers)
    return asked.answer(verdict(not wrong), numbers, _more_checks(seen, task, wrong))


def _more_checks(seen: Evidence, task: str, wrong: Sequence[tuple[GridRow, GridRow]]) -> str:
    """In how many pairs that are in the wrong order the earlier cell asks more branches."""
    counts = {row.cell: len(row.candidates.split()) for row in seen.candidates if row.task == task}
    more = sum(counts.get(early.cell, 0) > counts.get(late.cell, 0) for early, late in wrong)
    if not more:
        return ""
    which = f"all of the other {more}" if more == len(wrong) else f"{more} of the other {len(wrong)}"
    return f"In {which} the earlier one has more candidate layers, and every check of a branch costs time."


def gains_over_input(seen: Evidence, task: str, metric: str) -> ClaimRow | None:
    """The full model improves on the recordings as they are; None where these cannot be scored."""
    before = input_of(seen.grid, task, metric)
    if before is None:
        return None
    least = TARGET_GAINS.get(metric, 0.0)
    wanted = f"improves the input by at least {least:g}" if least else "does not lower the input's"
    asked = Asked(TARGETS, task, f"{metric_label(task, metric)}: the full model {wanted}")
    full = row_of(rows_of(seen.grid, task, metric), GridCell(FULL))
    if full is None:
        return asked.untold("The run has no full model for this task.")
    sign = 1 if full.higher_is_better else -1
    gain = (full.value - before.value) * sign
    numbers = f"Input {value_text(before)}, full model {value_text(full, interval=True)}: a gain of {gain:.3g}."
    ends = sorted((end - before.value) * sign for end in (full.ci_low, full.ci_high))
    if least and ends[0] <= 0 and ends[1] >= least:
        return asked.untold("The interval holds both no gain at all and the gain that is asked for.", numbers)
    return asked.answer(verdict(gain >= least), numbers)


def reaches_target(seen: Evidence) -> ClaimRow:
    """The project's own target: a least speed-up at one named cell, on at least one task."""
    cell = cell_label(TARGET_CELL)
    asked = Asked(TARGETS, None, f"{cell} is at least {TARGET_SPEEDUP:g}× as fast as the full model on a task")
    every = {task: rows_of(seen.grid, task) for task in tasks_of(seen.grid)}
    found = [row for rows in every.values() if (row := row_of(rows, TARGET_CELL))]
    if not found:
        return asked.untold(f"The run has no cell {cell}.")
    numbers = f"{', '.join(f'{task_title(row.task)} {speed_text(row)}' for row in found)}."
    trusted = [row for row in found if not clock(every[row.task])]
    if any(row.speedup_vs_full >= TARGET_SPEEDUP for row in trusted):
        return asked.answer(YES, numbers)
    if len(trusted) < len(found):
        return asked.untold(next(trouble for rows in every.values() if (trouble := clock(rows))), numbers)
    return asked.answer(NO, numbers)


def claims(seen: Evidence) -> list[ClaimRow]:
    """All claims, kind by kind, for every task and metric of the grid; those about noise if it was studied."""
    tasks = tasks_of(seen.grid)
    pairs = [(task, metric) for task in tasks for metric in metrics_of(seen.grid, task)]
    trained = {row.task for row in seen.grid if row.cell.method.kind == "task-ee"}
    distilled = {row.task for row in seen.grid if row.cell.method == STUDENT}
    fixed = fixed_exits(seen.grid) or [Method("layer", layer=6)]
    layers = max((row.layer for row in seen.entropy), default=0)
    return [
        *(keeps_quality(seen, task, metric) for task, metric in pairs),
        *(beats_fixed_exit(seen, task, metric, method) for method in fixed for task, metric in pairs),
        *(matches_task_exits(seen, task, metric) for task, metric in pairs if task in trained),
        *(outlives_student(seen, task, metric) for task, metric in pairs if task in distilled),
        *(entropy_falls(seen, task) for task in tasks),
        *(speed_follows_exits(seen, task) for task in tasks),
        *(noise_claims(seen.noise, fixed, layers) if seen.noise else []),
        *(row for task, metric in pairs if (row := gains_over_input(seen, task, metric))),
        reaches_target(seen),
    ]
