"""Draw the method at work: one recording, clean and noisy, whose entropy falls layer by layer to where it stops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import style

from daisy.common import stage
from daisy.common.columns import read_table
from daisy.common.files import read_json
from daisy.errors import DaisyError
from daisy.exits.candidates import candidate_layers
from daisy.exits.cell import GridCell
from daisy.exits.rule import ExitRule
from daisy.features.measured import load_measured
from daisy.noise.conditions import CLEAN, WHITE, ConditionRow
from daisy.report.drawing import STYLE, save
from daisy.report.settings import AtWorkSettings
from daisy.report.stopping import draw
from daisy.report.wording import cell_label, task_title


def shown_conditions(table: Sequence[ConditionRow]) -> list[tuple[str, float | None]]:
    """Clean speech, and the first kind of recorded noise at its highest, middle and lowest ratio.

    White noise stands in where nothing else was mixed in.
    """
    kinds = [kind for kind in dict.fromkeys(row.kind for row in table) if kind != CLEAN]
    kind = next((name for name in kinds if name != WHITE), kinds[0] if kinds else CLEAN)
    ratios = sorted({row.snr_db for row in table if row.kind == kind and row.snr_db is not None}, reverse=True)
    places = sorted({0, len(ratios) // 2, len(ratios) - 1}) if ratios else []
    return [(CLEAN, None), *((kind, ratios[place]) for place in places)]


def typical(exits: np.ndarray) -> int:
    """The recording whose exits lie the closest to the means of all.

    Args:
        exits: (conditions, recordings) exit layers.
    """
    away = ((exits - exits.mean(axis=1, keepdims=True)) ** 2).sum(axis=0)
    return int(away.argmin())


def curves(
    table: Sequence[ConditionRow], entropies: np.ndarray, rule: ExitRule
) -> tuple[str, list[tuple[float | None, str, np.ndarray, int]]]:
    """The recording that is shown, and per condition its ratio, the noise, its (K,) entropies and its exit layer.

    Raises:
        KeyError: if a condition lacks a recording.
    """
    place_of = {(row.kind, row.snr_db, row.utterance): place for place, row in enumerate(table)}
    wanted = shown_conditions(table)
    names = [row.utterance for row in table if row.kind == CLEAN]
    places = np.array([[place_of[(*condition, name)] for name in names] for condition in wanted])
    exits = rule.layers(entropies)[places]
    chosen = typical(exits)
    return names[chosen], [
        (snr_db, kind, entropies[places[number, chosen]], int(exits[number, chosen]))
        for number, (kind, snr_db) in enumerate(wanted)
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--conditions", type=Path, required=True, help="what every noisy recording is")
    parser.add_argument("--entropies", type=Path, required=True, help="their entropies")
    parser.add_argument("--exits", type=Path, required=True, help="the method's training exit histogram and threshold")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of the figure")
    arguments = parser.parse_args(argv)
    settings = stage.settings(AtWorkSettings, arguments.settings)
    table = read_table(ConditionRow, arguments.conditions)
    entropies = load_measured(arguments.entropies, len(table)).entropies
    trained = read_json(arguments.exits)
    candidates = candidate_layers(settings.strategy, trained["counts"], settings.q)
    rule = ExitRule(candidates, trained["tau"])
    try:
        name, shown = curves(table, entropies, rule)
    except KeyError as error:
        raise DaisyError(
            f"a condition lacks a recording: {error}", file=arguments.conditions, fix="Make the noisy recordings again"
        ) from None
    words = f"{task_title(settings.task)}, {name}; {cell_label(GridCell(settings.method, settings.strategy))}"
    with style.context(["default", STYLE]):
        save(draw(shown, rule, words, signal=settings.signal), arguments.out, "method_at_work")


if __name__ == "__main__":
    stage.run(main)
