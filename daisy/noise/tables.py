"""Gather the noise study of every method into the tables from which its figures and claims are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.columns import read_table, write_table
from daisy.noise.rows import NoiseExitRow, NoiseGuardRow, NoiseWerRow, exit_order, exits_name, guard_order, wer_order
from daisy.noise.settings import NoiseTasks


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument(
        "--study", nargs=2, action="append", required=True, metavar=("TASK", "FOLDER"), help="of one task and method"
    )
    parser.add_argument("--out", type=Path, required=True, help="output: folder of the tables")
    arguments = parser.parse_args(argv)
    settings = stage.settings(NoiseTasks, arguments.settings)
    studies = [(task, Path(folder)) for task, folder in arguments.study]
    for task in settings.tasks:
        exits = [row for of, folder in studies if of == task for row in read_table(NoiseExitRow, folder / "exits.csv")]
        write_table(NoiseExitRow, arguments.out / f"{exits_name(task)}.csv", sorted(exits, key=exit_order))
    wer = [row for _, folder in studies for row in read_table(NoiseWerRow, folder / "wer.csv")]
    guard = [row for _, folder in studies for row in read_table(NoiseGuardRow, folder / "guard.csv")]
    write_table(NoiseWerRow, arguments.out / "noise_wer.csv", sorted(wer, key=wer_order))
    write_table(NoiseGuardRow, arguments.out / "noise_guard.csv", sorted(guard, key=guard_order))


if __name__ == "__main__":
    stage.run(main)
