"""The figures show what the tables say, and are the same every time."""

from __future__ import annotations

import dataclasses

import pytest
from matplotlib.collections import LineCollection
from test_tables import row, write_exits, write_run

from daisy.common.columns import read_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import DevRow, EntropyRow, GridRow, ThresholdRow
from daisy.report import figures, tables
from daisy.report.plots import OTHER_MARKERS, curve, entropy_figure, far_off, points, spread, tradeoff_figure

NAMES = [f"{name}.{ending}" for name in ("fig2_entropy", "fig3_tradeoff") for ending in ("png", "svg")]


def run(folder, tasks):
    tables.main(write_run(folder, tasks))
    figures.main(["--settings", "{}", "--tables", str(folder / "tables"), "--out", str(folder / "figures")])


def dev_of(folder):
    return read_table(DevRow, folder / "tables" / "dev.csv")


def test_figures_are_written_and_repeat(tmp_path):
    run(tmp_path, ("sid", "asr"))
    first = {name: (tmp_path / "figures" / name).read_bytes() for name in NAMES}
    assert all(len(data) > 1000 for data in first.values())
    run(tmp_path, ("sid", "asr"))
    assert {name: (tmp_path / "figures" / name).read_bytes() for name in NAMES} == first
    assert b"<dc:date>" not in first["fig3_tradeoff.svg"]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_panels_and_points(tmp_path, count):
    tasks = ("asr", "se", "sid", "ss")[:count]
    tables.main(write_run(tmp_path, tasks))
    grid = read_table(GridRow, tmp_path / "tables" / "grid.csv")
    panels = tradeoff_figure(grid, dev_of(tmp_path)).axes
    assert len(panels) == count
    for axes, task in zip(panels, tasks, strict=True):
        expected = {(row.speedup_vs_full, row.value) for row in grid if row.task == task}
        assert {(point.x, point.y) for point in points(grid, task)} == expected
        single = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
        assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in single} == expected
        bars = [item for item in axes.collections if isinstance(item, LineCollection)]
        assert len(bars) == len(single) - 1


def test_task_exits_the_oracle_and_a_student_have_markers_of_their_own(tmp_path):
    arguments = write_run(tmp_path, ("sid",))
    tables.main([*arguments[:3], *write_exits(tmp_path), *arguments[3:]])
    grid = [*read_table(GridRow, tmp_path / "tables" / "grid.csv"), row("student", 74.0, exit=2.0, speed=3.0)]
    figure = tradeoff_figure(grid, dev_of(tmp_path))
    (axes,) = figure.axes
    drawn = {}
    for line in axes.lines:
        drawn.setdefault(line.get_marker(), []).append((line.get_xdata()[0], line.get_ydata()[0]))
    for kind, marker in OTHER_MARKERS.items():
        expected = [(item.speedup_vs_full, item.value) for item in grid if item.cell.method.kind == kind]
        assert drawn[marker] == expected and expected
    words = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"task exits (ρ as left)", "oracle (ρ as left)", "distilled student"} <= words
    assert "at 1.50×" in axes.texts[0].get_text(), "what the panel says is of DAISY's cells alone"


@pytest.mark.parametrize(("value", "note"), [(79.5, ""), (20.0, "task exits at 20, off the scale ↓")])
def test_task_exits_far_off_do_not_squeeze_the_others(tmp_path, value, note):
    arguments = write_run(tmp_path, ("sid",))
    tables.main([*arguments[:3], *write_exits(tmp_path, value=value), *arguments[3:]])
    grid = read_table(GridRow, tmp_path / "tables" / "grid.csv")
    (axes,) = tradeoff_figure(grid, dev_of(tmp_path)).axes
    low, high = axes.get_ylim()
    assert low > 60 and all(low < row.ci_low and row.ci_high < high for row in grid if row.method != "task-ee")
    assert (low < value) == (not note)
    assert [text.get_text() for text in axes.texts if "off the scale" in text.get_text()] == ([note] if note else [])


def test_where_all_others_are_one_point_none_is_far_off():
    others = [row("full", 100.0), row("daisy", 100.0)]
    same = [dataclasses.replace(item, ci_low=100.0, ci_high=100.0) for item in others]
    assert far_off([*same, row("task-ee", 90.0)]) == []


def test_curves(tmp_path):
    tables.main(write_run(tmp_path, ("sid", "asr")))
    entropy = read_table(EntropyRow, tmp_path / "tables" / "entropy.csv")
    thresholds = read_table(ThresholdRow, tmp_path / "tables" / "thresholds.csv")
    (axes,) = entropy_figure(entropy, thresholds).axes
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(lines) == 2
    for line, task in zip(lines, ("asr", "sid"), strict=True):
        assert (list(line.get_xdata()), list(line.get_ydata())) == curve(entropy, task)
        assert curve(entropy, task) == ([1, 2, 3, 4, 5, 6], [1.5, 1.4, 1.2, 1.1, 1.0, 0.9])
    assert {"Speech recognition", "Speaker identification"} <= {text.get_text() for text in axes.texts}


def test_another_signal_is_named(tmp_path):
    tables.main(write_run(tmp_path, ("sid",)))
    entropy = read_table(EntropyRow, tmp_path / "tables" / "entropy.csv")
    thresholds = read_table(ThresholdRow, tmp_path / "tables" / "thresholds.csv")
    assert "Mean entropy" in entropy_figure(entropy, thresholds).axes[0].get_ylabel()
    others = [dataclasses.replace(row, signal="margin") for row in thresholds]
    assert "margin of the two largest" in entropy_figure(entropy, others).axes[0].get_ylabel()


def test_a_run_without_calibration_still_has_a_figure():
    (axes,) = entropy_figure([], []).axes
    assert "no threshold" in axes.texts[0].get_text()


def test_labels_are_spread():
    heights = spread([1.0, 1.01, 0.2, 1.02], 0.1)
    ordered = sorted(heights)
    assert all(above - below >= 0.1 - 1e-9 for below, above in zip(ordered, ordered[1:], strict=False))
    assert heights[2] == 0.2 and heights[0] < heights[1] < heights[3]
    assert spread([0.0, 0.0, 0.0, 0.1], 0.1) == pytest.approx([-0.125, -0.025, 0.075, 0.175])


def test_missing_tables(tmp_path):
    with pytest.raises(DaisyError, match="does not exist"):
        figures.main(["--settings", "{}", "--tables", str(tmp_path), "--out", str(tmp_path)])
