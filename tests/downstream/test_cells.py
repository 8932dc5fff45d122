"""The cells of an evaluation follow from a method and from what its training wrote about exits."""

from __future__ import annotations

import pytest

from daisy.downstream.cells import build_cells, exit_rules
from daisy.downstream.model import Downstream
from daisy.downstream.task_exits import TaskExits
from daisy.errors import DaisyError
from daisy.exits.cell import GridCell
from daisy.exits.method import FULL, TASK_EXITS, Method
from daisy.exits.rule import ExitRule
from daisy.tasks.sid import SpeakerIdentification

TRAINED = {"counts": [0, 0, 2, 10, 5, 3], "tau": 0.5}


def test_a_rule_per_strategy():
    found = exit_rules(Method("daisy", 1.0), 6, dict.fromkeys(("avg", "min-max", "threshold"), 0.2), TRAINED)
    assert found == {
        "avg": ExitRule((4, 5), 0.5),
        "min-max": ExitRule((3, 4, 5, 6), 0.5),
        "threshold": ExitRule((4, 5), 0.5),
    }


def test_a_fixed_exit_has_one_rule():
    """Whatever the strategies; its training measured no threshold."""
    trained = {"counts": [0, 0, 0, 0, 0, 20], "tau": None}
    assert exit_rules(FULL, 6, {"avg": 0.2}, trained) == {None: ExitRule((6,))}
    assert exit_rules(Method("layer", layer=4), 6, {}, trained) == {None: ExitRule((4,))}
    with pytest.raises(DaisyError, match="layer7 on a model of 6 layers"):
        exit_rules(Method("layer", layer=7), 6, {}, trained)


def test_cells_share_their_model():
    model = Downstream(SpeakerIdentification({"projection": 4}, ["a", "b"]), 6, 8, "dynamic")
    cells = build_cells(model, Method("daisy", 1.0), {"avg": 0.2, "min-max": 0.2}, TRAINED)
    assert list(cells) == [GridCell(Method("daisy", 1.0), strategy) for strategy in ("avg", "min-max")]
    assert all(cell.model is model and cell.judge is None for cell in cells.values())
    assert next(iter(cells.values())).rule == ExitRule((4, 5), 0.5)
    assert list(build_cells(model, FULL, {}, {})) == [GridCell(FULL)]


def test_exits_of_a_task_have_cells_at_every_scale():
    """One training, and a threshold and a histogram for each scale."""
    model = TaskExits(SpeakerIdentification({}, ["a", "b"]), 6, 8)
    scales = [{"rho": 0.7, **TRAINED}, {"rho": 1.0, "tau": 0.8, "counts": [0, 9, 0, 0, 0, 1]}]
    cells = build_cells(model, TASK_EXITS, {"avg": 0.2, "threshold": 0.2}, {"scales": scales}, model)
    assert {str(key): cell.rule for key, cell in cells.items()} == {
        "task-ee-rho0.7, avg": ExitRule((4, 5), 0.5),
        "task-ee-rho0.7, threshold": ExitRule((4, 5), 0.5),
        "task-ee-rho1, avg": ExitRule((2, 3), 0.8),
        "task-ee-rho1, threshold": ExitRule((2,), 0.8),
    }
    assert all(cell.judge is cell.model is model for cell in cells.values())
