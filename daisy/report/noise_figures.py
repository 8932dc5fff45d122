"""Draw the paper's Fig. 4 (exits under noise) and Fig. 5 (word error rate under noise) from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import style

from daisy.common import stage
from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import EntropyRow
from daisy.noise.rows import WER_TASK
from daisy.noise.settings import NoiseTasks
from daisy.report.drawing import STYLE, save
from daisy.report.noise_grid import read_noise, shown_cell
from daisy.report.noise_plots import exits_figure, wer_figure


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of the figures")
    arguments = parser.parse_args(argv)
    settings = stage.settings(NoiseTasks, arguments.settings)
    results = read_noise(arguments.tables, settings.tasks)
    if not all(results.exits.values()) or not results.wer:
        raise DaisyError("a table of the noise study is empty", file=arguments.tables, fix="Run the study again")
    layers = max(row.layer for row in read_table(EntropyRow, arguments.tables / "entropy.csv"))
    with style.context(["default", STYLE]):
        save(exits_figure(results.exits, layers), arguments.out, "fig4_noise_exits")
        save(wer_figure(results.wer, *shown_cell(results.exits[WER_TASK])), arguments.out, "fig5_noise_wer")


if __name__ == "__main__":
    stage.run(main)
