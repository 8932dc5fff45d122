"""The comparison of signals, from made-up results per layer: its tables, its words and its figures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runners import arguments

from daisy.common.columns import write_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import GridRow
from daisy.evaluation.spending import EveryExit, save_exits
from daisy.exits.signals import SIGNALS
from daisy.features.measured import save_signals
from daisy.report import signals
from daisy.report.signal_plots import dominated

SETTINGS: dict[str, Any] = {"tasks": ["sid"], "rho": [0.7, 1.0], "floor": 1, "draws": 100, "seed": 1, "own": "entropy"}


def cell(strategy: str | None, value: float, macs: float, rho: float | None = 1.0) -> GridRow:
    method = "full" if rho is None else "daisy"
    return GridRow(
        *("sid", method, rho, strategy, "accuracy", value, value - 1, value + 1, True, 60, 4.0, macs, 1.0, 1.5)
    )


def write(folder: Path) -> list[str]:
    """Files of a test set in which `margin` knows who is right, and all others are noise; the arguments."""
    chance = np.random.default_rng(5)
    need = chance.integers(1, 8, 60)[:, None]
    layers = np.arange(1, 7)
    right = (layers >= need).astype(float)
    seconds = chance.uniform(1, 3, 60)
    every = EveryExit(right, np.ones_like(right), seconds[:, None] * layers, seconds / 50)
    told = {name: chance.uniform(0, 1, right.shape) for name in SIGNALS}
    save_signals(folder / "signals.npz", {**told, "margin": told["margin"] + 1 - right})
    for rho in ("0.7", "1.0"):
        save_exits(folder / f"{rho}.npz", every)
    rows = [cell(None, 80, 6.0, None), cell("avg", 70, 4.0), cell("min-max", 75, 4.0), cell("threshold", 60, 2.0)]
    write_table(GridRow, folder / "grid.csv", rows)
    files = ["--signals", folder / "signals.npz", "--layers", folder / "0.7.npz", folder / "1.0.npz"]
    return [str(part) for part in [*files, "--grid", folder / "grid.csv"]]


def test_a_signal_that_knows_is_better_and_one_like_entropy_ties(tmp_path, capsys):
    signals.main([*arguments(SETTINGS, tables=tmp_path, figures=tmp_path), *write(tmp_path)])
    with open(tmp_path / "signals.csv", newline="") as file:
        rows = {row["signal"]: row for row in csv.DictReader(file) if row["rho"] == "1.0"}
    assert list(rows) == [*SIGNALS, "random", "fixed", "oracle"]
    assert rows["entropy"]["verdict"] == "" and float(rows["entropy"]["difference"]) == 0
    assert rows["margin"]["verdict"] == rows["oracle"]["verdict"] == "better"
    assert rows["random"]["verdict"] == "tie", "an entropy that is noise is chance"
    assert float(rows["oracle"]["value"]) > float(rows["margin"]["value"])
    assert "sid rho 1: margin is best: +" in capsys.readouterr().out
    with open(tmp_path / "signals_curve.csv", newline="") as file:
        curve = [row for row in csv.DictReader(file) if (row["rho"], row["signal"]) == ("0.7", "margin")]
    assert float(curve[0]["mean_exit_layer"]) == 1 and float(curve[-1]["mean_exit_layer"]) == 6
    assert curve[-1]["tau"] == "" and float(curve[0]["tau"]) > float(curve[-2]["tau"])
    for name in ("signals", "fig3_curve"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_dearer_and_no_better_is_dominated():
    rows = [cell("avg", 70, 4.0), cell("min-max", 75, 4.0), cell("threshold", 60, 2.0), cell("min-max", 75, 4.0, 0.7)]
    assert [str(found) for found in dominated(rows)] == ["daisy-rho1, avg"], "two that are alike dominate neither"


def test_results_of_another_test_set(tmp_path):
    given = write(tmp_path)
    save_exits(tmp_path / "1.0.npz", EveryExit(*[np.ones((3, 6))] * 3, np.ones(3)))
    with pytest.raises(DaisyError, match="signals of sid for another test set"):
        signals.main([*arguments(SETTINGS, tables=tmp_path, figures=tmp_path), *given])
    with pytest.raises(DaisyError, match="names none"):
        nothing = arguments({**SETTINGS, "tasks": []}, tables=tmp_path, figures=tmp_path)
        signals.main([*nothing, *given[:1], *given[2:3], *given[-2:]])
