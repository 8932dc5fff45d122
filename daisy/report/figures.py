"""Draw the paper's Fig. 2 (entropy per layer) and Fig. 3 (result against speed) from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import style

from daisy.common import stage
from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import DevRow, EntropyRow, GridRow, ThresholdRow
from daisy.report.drawing import STYLE, save
from daisy.report.plots import entropy_figure, tradeoff_figure
from daisy.report.settings import Nothing


def draw(
    grid: Sequence[GridRow],
    dev: Sequence[DevRow],
    entropy: Sequence[EntropyRow],
    thresholds: Sequence[ThresholdRow],
    out: Path,
) -> None:
    """Draw both figures into the folder `out`."""
    with style.context(["default", STYLE]):
        save(entropy_figure(entropy, thresholds), out, "fig2_entropy")
        save(tradeoff_figure(grid, dev), out, "fig3_tradeoff")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of the figures")
    arguments = parser.parse_args(argv)
    stage.settings(Nothing, arguments.settings)
    grid = read_table(GridRow, arguments.tables / "grid.csv")
    if not grid:
        raise DaisyError("the grid is empty", file=arguments.tables / "grid.csv", fix="Evaluate a method first")
    dev = read_table(DevRow, arguments.tables / "dev.csv")
    entropy = read_table(EntropyRow, arguments.tables / "entropy.csv")
    thresholds = read_table(ThresholdRow, arguments.tables / "thresholds.csv")
    draw(grid, dev, entropy, thresholds, arguments.out)


if __name__ == "__main__":
    stage.run(main)
