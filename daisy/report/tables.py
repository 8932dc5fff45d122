"""Gather evaluations and calibrations into the tables from which figures, claims and the report are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.common.columns import write_table
from daisy.common.files import write_csv
from daisy.evaluation.rows import CandidateRow, DevRow, EntropyRow, ExitRow, GridRow, SeedRow, ThresholdRow
from daisy.exits.cell import GridCell
from daisy.exits.method import INPUT
from daisy.report.against_published import AgainstPublishedRow, against_published
from daisy.report.evaluations import (
    calibration_rows,
    candidate_rows,
    exit_rows,
    mean_rows,
    own_thresholds,
    seed_row,
    trained_rows,
)
from daisy.report.settings import TablesSettings

COSTS = ("mean_exit_layer", "macs_per_second", "rtf", "speedup_vs_full")
"""Columns that do not depend on the metric."""


def side_by_side(grid: Sequence[GridRow]) -> list[dict[str, Any]]:
    """The paper's Table 1: a row per method, rho and strategy, with every task's metrics and costs in columns.

    The input itself has metrics alone, and a cell that a task lacks is empty.
    """
    cells = sorted({row.cell for row in grid}, key=lambda cell: cell.key)
    table: dict[GridCell, dict[str, Any]] = {
        cell: {"method": cell.method.row, "rho": cell.method.rho, "strategy": cell.strategy} for cell in cells
    }
    columns: dict[str, None] = dict.fromkeys(("method", "rho", "strategy"))
    for task in dict.fromkeys(row.task for row in grid):
        for row in (row for row in grid if row.task == task):
            values = {
                f"{task}_{row.metric}": row.value,
                f"{task}_{row.metric}_ci_low": row.ci_low,
                f"{task}_{row.metric}_ci_high": row.ci_high,
            }
            table[row.cell] |= values
            columns |= dict.fromkeys(values)
        for row in (row for row in grid if row.task == task and row.cell.method != INPUT):
            table[row.cell] |= {f"{task}_{name}": getattr(row, name) for name in COSTS}
        columns |= dict.fromkeys(f"{task}_{name}" for name in COSTS)
    return [{name: line.get(name) for name in columns} for line in table.values()]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, settings=False)
    parser.add_argument("--settings", default="{}", help="the stage's config values, as one JSON object")
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="one file per task, method and seed")
    parser.add_argument("--calibrations", type=Path, nargs="*", default=[], help="one file per task and rho")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of the tables")
    arguments = parser.parse_args(argv)
    settings = stage.settings(TablesSettings, arguments.settings)
    trained = trained_rows(arguments.evaluations, "rows", GridRow)
    grid, exits = mean_rows(trained), exit_rows(arguments.evaluations)
    candidates = candidate_rows(arguments.evaluations)
    entropies, thresholds = calibration_rows(arguments.calibrations)
    write_table(GridRow, arguments.out / "grid.csv", grid)
    write_table(DevRow, arguments.out / "dev.csv", mean_rows(trained_rows(arguments.evaluations, "dev", DevRow)))
    write_table(SeedRow, arguments.out / "seeds.csv", [seed_row(*pair) for pair in trained])
    lines = side_by_side(grid)
    write_csv(arguments.out / "table1.csv", list(lines[0]), lines)
    write_table(ExitRow, arguments.out / "exits.csv", exits)
    write_table(CandidateRow, arguments.out / "candidates.csv", candidates)
    write_table(EntropyRow, arguments.out / "entropy.csv", entropies)
    thresholds += own_thresholds(arguments.evaluations)
    ordered = sorted(thresholds, key=lambda row: (row.task, *row.cell.key))
    write_table(ThresholdRow, arguments.out / "thresholds.csv", ordered)
    if settings.against_published:
        compared = against_published(entropies)
        write_table(AgainstPublishedRow, arguments.out / "against_published.csv", compared)
        for row in compared:
            print(
                f"{row.task}: max + min of the mean entropies {row.max_plus_min:.2f} nats, "
                f"published (inferred) {row.published:.2f}, difference {row.difference:+.2f}"
            )


if __name__ == "__main__":
    stage.run(main)
