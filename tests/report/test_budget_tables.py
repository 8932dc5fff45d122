"""What was asked against what was spent, and which result a budget buys: tables, figure, section, words."""

from __future__ import annotations

import numpy as np
import pytest
from runners import arguments
from test_tables import row

from daisy.common.columns import read_table, write_table
from daisy.errors import DaisyError
from daisy.evaluation.rows import BudgetRow, GridRow
from daisy.exits.calibration import Calibration
from daisy.features.measured import Measured, save_measured
from daisy.hubert.checkpoint import save
from daisy.library.bundle import with_spending
from daisy.report import budget
from daisy.report.budget_section import budget_section
from daisy.report.expected import expected, spent_on_test
from daisy.report.signal_plots import CurveRow

SETTINGS = {"tasks": ["sid"], "floor": 1, "draws": 50, "seed": 1}


def test_what_was_asked_and_what_was_spent(tmp_path, checkpoint, capsys):
    chance = np.random.default_rng(3)
    for part, unsure in (("train", 0.0), ("dev", 0.0), ("test", 0.2)):
        signal = 3 - np.arange(6) / 4 + chance.normal(unsure, 0.3, (60, 6))
        save_measured(tmp_path / f"{part}.npz", Measured(signal, chance.integers(50, 150, 60)))
    made = {"sid": Calibration("midrange", (1.0,) * 6, None, 0.2, {1.0: (10,) * 6})}
    checkpoint.calibrations = dict(with_spending(made, [tmp_path / "train.npz"], checkpoint, 1))
    save(tmp_path / "daisy.safetensors", checkpoint, "safetensors")
    files = [text for name in ("dev", "test") for text in (f"--{name}", str(tmp_path / f"{name}.npz"))]
    given = arguments(SETTINGS, bundle=tmp_path / "daisy.safetensors", tables=tmp_path, figures=tmp_path)
    budget.main([*given, *files])
    rows = read_table(BudgetRow, tmp_path / "budget.csv")
    least = checkpoint.calibrations["sid"].spending.spent[-1]
    assert {row.asked for row in rows if row.calibrated_on == "train"} == {x for x in budget.SHARES if x >= least}
    for item in rows:
        assert item.ci_low <= item.spent <= item.ci_high and item.n_utterances == 60
        assert -0.02 < item.spent - item.asked < 0.25, "the test set's branches are less sure"
    assert "sid: asked 90%, spent 9" in capsys.readouterr().out
    assert (tmp_path / "budget.png").read_bytes().startswith(b"\x89PNG") and (tmp_path / "budget.svg").exists()
    section = budget_section(rows)
    (table,) = section["tables"]
    assert "points off on average" in section["text"] and len(table["rows"]) == len(rows) / 2


def test_which_result_a_budget_buys(tmp_path):
    with pytest.raises(DaisyError, match=r"there is no grid\.csv"):
        expected(tmp_path, "sid", "entropy", 0.6)
    cells = [
        row("full", 80.0, exit=12.0),
        row("layer6", 70.0),
        *(
            row("daisy", value, rho=1.0, strategy=name, exit=cost)
            for name, value, cost in (("avg", 76.0, 5.0), ("min-max", 78.0, 7.5))
        ),
    ]
    write_table(GridRow, tmp_path / "grid.csv", cells)
    (found,) = expected(tmp_path, "sid", "entropy", 0.6)
    assert (found.value, found.share, found.full) == (78.0, 0.625, 80.0)
    said = "78.0 [76.0, 80.0] at 62% with the downstream model, nearest cell DAISY ρ 1.0, min-max; full model 80.0"
    assert said in str(found)
    assert expected(tmp_path, "asr", "entropy", 0.6) == []
    assert spent_on_test(tmp_path, "sid", 0.6) is None
    spent = [BudgetRow("sid", "train", asked, 1.0, asked - 0.2, 0.0, 1.0, 6.0, 60) for asked in (0.8, 0.5)]
    write_table(BudgetRow, tmp_path / "budget.csv", spent)
    assert spent_on_test(tmp_path, "sid", 0.6) == pytest.approx(0.4)
    assert spent_on_test(tmp_path, "sid", 0.9) is spent_on_test(tmp_path, "asr", 0.6) is None
    points = [
        CurveRow("sid", rho, signal, 1.0, share, 3.0, 100 * share + rho, 60 * share, 140 * share)
        for rho in (0.7, 1.0)
        for signal in ("entropy", "margin")
        for share in (0.9, 0.5)
    ]
    write_table(CurveRow, tmp_path / "signals_curve.csv", points)
    lower, higher = expected(tmp_path, "sid", "entropy", 0.6)
    assert (lower.value, higher.value, higher.ci_low) == pytest.approx((60.7, 61.0, 36.0))
    assert "DAISY ρ 0.7" in lower.system and higher.table == "signals_curve.csv"
    whole = [CurveRow("sid", 1.0, "fixed", None, share, 9.0, 90 * share, 1.0, 2.0) for share in (0.8, 1.0)]
    beyond = CurveRow("sid", 1.0, "entropy", 0.0, 1.1, 12.0, 200.0, 1.0, 2.0)
    write_table(CurveRow, tmp_path / "signals_curve.csv", [*points, *whole, beyond])
    (found,) = expected(tmp_path, "sid", "entropy", 1.0)
    assert found.value == 90 and "every layer" in found.system, "a budget of 1 asks no branch"
