"""Hold the paper's claims against a run's tables: ``claims.csv``, a row per claim with its verdict and its numbers."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

from daisy.common import stage
from daisy.common.columns import read_table, write_table
from daisy.common.files import read_csv
from daisy.errors import DaisyError
from daisy.evaluation.rows import CandidateRow, DevRow, EntropyRow, GridRow
from daisy.report.claim import ClaimRow, tally
from daisy.report.claims import Evidence, claims
from daisy.report.noise_grid import read_noise
from daisy.report.settings import ClaimsSettings


def speakers_of(summaries: Sequence[Path]) -> dict[str, int]:
    """The speakers of every corpus's training part.

    Raises:
        DaisyError: if a table is missing or damaged.
    """
    found = {}
    for path in summaries:
        for row in read_csv(path, columns=("corpus", "split", "speakers")):
            if not row["speakers"].isdigit():
                raise DaisyError(f"{row['speakers']!r} speakers", file=path, fix="Make the manifests again")
            if row["split"] == "train":
                found[row["corpus"]] = int(row["speakers"])
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--summaries", type=Path, nargs="*", default=[], help="speakers per corpus and split")
    parser.add_argument("--out", type=Path, required=True, help="output: the table of claims")
    arguments = parser.parse_args(argv)
    settings = stage.settings(ClaimsSettings, arguments.settings)
    seen = Evidence(
        read_table(GridRow, arguments.tables / "grid.csv"),
        read_table(EntropyRow, arguments.tables / "entropy.csv"),
        read_table(CandidateRow, arguments.tables / "candidates.csv"),
        read_noise(arguments.tables, settings.noise_tasks) if settings.noise_tasks else None,
        speakers_of(arguments.summaries),
        settings.target_layer,
        read_table(DevRow, arguments.tables / "dev.csv"),
    )
    if not seen.grid:
        raise DaisyError("the grid is empty", file=arguments.tables / "grid.csv", fix="Evaluate a method first")
    judged = claims(seen)
    write_table(ClaimRow, arguments.out, judged)
    print(f"claims: {tally(collections.Counter(row.holds for row in judged))}")


if __name__ == "__main__":
    stage.run(main)
