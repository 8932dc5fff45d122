"""A run beside the published thresholds, and beside another run."""

from __future__ import annotations

import pytest

from daisy.common.columns import write_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import EntropyRow, GridRow
from daisy.report.against_published import AgainstPublishedRow, against_published
from daisy.report.beside import Run, beside_section, read_run
from daisy.report.exit_sections import published_section


def row(task, method, value, rho=None, strategy=None):
    return GridRow(task, method, rho, strategy, "accuracy", value, value - 1, value + 1, True, 9, 5.0, 1e9, 0.1, 1.25)


def test_the_largest_and_the_smallest_mean_entropy():
    entropy = [EntropyRow("asr", k, mean) for k, mean in enumerate((1.0, 0.9, 0.5), start=1)]
    entropy += [EntropyRow("se", 1, 2.0), EntropyRow("other", 1, 1.0)]
    found = against_published(entropy)
    assert [(item.task, item.published) for item in found] == [("asr", 1.47), ("se", 3.31)]
    assert found[0].max_plus_min == 1.5 and found[0].difference == pytest.approx(0.03)
    assert found[1].max_plus_min == 4.0
    page = str(published_section(found))
    assert "1.50" in page and "+0.03" in page and "inferred" in page
    assert against_published([]) == [] and isinstance(found[0], AgainstPublishedRow)


def test_two_runs_cell_by_cell(tmp_path):
    grid = [row("sid", "full", 90.0), row("sid", "daisy", 88.0, 0.7, "avg")]
    tables = tmp_path / "paper/tables"
    write_table(GridRow, tables / "grid.csv", [row("sid", "full", 91.0)])
    write_table(EntropyRow, tables / "entropy.csv", [EntropyRow("sid", 1, 1.75)])
    other = read_run(tables)
    assert other.name == "paper"
    section = str(beside_section(Run("authors", grid, [EntropyRow("sid", 1, 2.25)]), [other]))
    assert "Beside paper" in section and "91.0" in section and "88.0" in section and "1.75" in section
    with pytest.raises(DaisyError):
        read_run(tmp_path / "none/tables")
