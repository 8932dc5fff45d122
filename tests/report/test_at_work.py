"""The figure of the method at work: a recording that is like the others, and where it stops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib import style

from daisy.common.columns import write_table
from daisy.errors import DaisyError
from daisy.exits.rule import ExitRule
from daisy.features.measured import Measured, save_measured
from daisy.noise.conditions import ConditionRow
from daisy.report import at_work
from daisy.report.drawing import STYLE

RATIOS = (("clean", None), ("white", 0.0), ("music", 20.0), ("music", 10.0), ("music", 5.0), ("music", 0.0))
SETTINGS = {"task": "asr", "method": {"kind": "daisy", "rho": 1.0}, "strategy": "min-max", "q": 0.2}


def study(recordings=3):
    """Conditions and entropies: a recording further on in the list and a lower ratio stop later."""
    table, entropies = [], []
    for number in range(recordings):
        for kind, snr_db in RATIOS:
            noise = {None: 0, 20.0: 1, 10.0: 2, 5.0: 3, 0.0: 4}[snr_db]
            table.append(ConditionRow(f"{kind}/{snr_db}/{number}", str(number), kind, snr_db, None, 1.0))
            entropies.append([2.0 + 0.2 * (noise + number) - 0.2 * layer for layer in range(1, 13)])
    return table, np.array(entropies)


def test_what_is_shown():
    table, entropies = study()
    rule = ExitRule(tuple(range(1, 13)), 1.41)
    name, shown = at_work.curves(table, entropies, rule)
    assert name == "1", "the one in the middle"
    assert [(kind, snr_db) for snr_db, kind, _, _ in shown] == [
        ("clean", None),
        ("music", 20.0),
        ("music", 5.0),
        ("music", 0.0),
    ]
    assert [stop for _, _, _, stop in shown] == [4, 5, 7, 8]
    with style.context(["default", STYLE]):
        (axes,) = at_work.draw(shown, rule, "words").axes
    texts = {text.get_text() for text in axes.texts}
    assert {"clean: 4", "music, 20 dB: 5", "music, 5 dB: 7", "music, 0 dB: 8", "threshold", "4", "8"} <= texts
    before = [line for line in axes.lines if line.get_linewidth() == 2.2]
    for line, (_, _, values, stop) in zip(before, shown, strict=True):
        assert list(line.get_xdata()) == list(range(1, stop + 1)) and list(line.get_ydata()) == list(values[:stop])


def test_white_noise_alone():
    table = [row for row in study()[0] if row.kind in ("clean", "white")]
    assert at_work.shown_conditions(table) == [("clean", None), ("white", 0.0)]


def test_the_stage(tmp_path):
    table, entropies = study()
    write_table(ConditionRow, tmp_path / "conditions.csv", table)
    save_measured(tmp_path / "entropies.npz", Measured(entropies, np.ones(len(table), int)))
    (tmp_path / "exits.json").write_text(json.dumps({"tau": 1.41, "counts": [0, 1, 2, 3, 3, 3, 3, 2, 0, 0, 0, 0]}))
    pairs = {"conditions": "conditions.csv", "entropies": "entropies.npz", "exits": "exits.json", "out": "figures"}
    given = [text for name, path in pairs.items() for text in (f"--{name}", str(tmp_path / path))]
    at_work.main(["--settings", json.dumps(SETTINGS), *given])
    assert (tmp_path / "figures/method_at_work.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures/method_at_work.svg").read_text()
    write_table(ConditionRow, tmp_path / "conditions.csv", [*table[:-1], table[0]])
    with pytest.raises(DaisyError, match="a condition lacks a recording"):
        at_work.main(["--settings", json.dumps(SETTINGS), *given])
