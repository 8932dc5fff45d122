"""Methods: one name for each, and nothing else is one."""

from __future__ import annotations

import dataclasses
import random

import pytest

from daisy.common import stage
from daisy.errors import DaisyError
from daisy.exits.cell import GridCell
from daisy.exits.method import DAISY, FULL, INPUT, STUDENT, TASK_EXITS, Method, rho_name
from daisy.report.wording import cell_label
from daisy.workflow.digests import closure

LAYER6 = Method("layer", layer=6)
RHOS = [Method("daisy", rho) for rho in (0.5, 0.76, 1.0, 10.0, 1e-5)]
SCALED = [Method(kind, rho) for kind in ("task-ee", "oracle") for rho in (0.76, 1.0)]
METHODS = (FULL, LAYER6, Method("layer", layer=12), DAISY, *RHOS, TASK_EXITS, Method("oracle"), *SCALED, INPUT, STUDENT)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_names_come_back(method):
    assert Method.parse(method.name) == method
    assert Method.parse(method.row, method.rho) == method, "as a table writes it: two columns"
    assert stage.build(Method, dataclasses.asdict(method)) == method, "as settings write it"


@pytest.mark.parametrize(
    "name",
    ["", "layer", "layer0", "layer06", "daisy-", "daisy-rho", "daisy-rho1.0.0", "half", "Full", "full-rho1", "task"],
)
def test_what_is_no_method(name):
    with pytest.raises(DaisyError, match=f"the method {name!r} is unknown"):
        Method.parse(name)


def test_faulty_parts():
    for name in ("full", "layer6", "input", "student"):
        with pytest.raises(DaisyError, match=r"with the scale 0\.7"):
            Method.parse(name, 0.7)
    for value in ({"kind": "layer"}, {"kind": "full", "layer": 6}, {"kind": "input", "rho": 1.0}):
        with pytest.raises(DaisyError, match="no method"):
            stage.build(Method, value)
    with pytest.raises(DaisyError, match="half"):
        stage.build(Method, {"kind": "half"})


def test_fixed_exits():
    assert FULL.exit(12) == 12 and STUDENT.exit(2) == 2 and LAYER6.exit(12) == 6 and LAYER6.exit(6) == 6
    with pytest.raises(DaisyError, match="the method layer6 on a model of 5 layers"):
        LAYER6.exit(5)
    for method in (DAISY, *RHOS, INPUT, TASK_EXITS, *SCALED):
        with pytest.raises(ValueError, match="no fixed exit"):
            method.exit(12)


def test_words():
    words = {
        FULL: "full model",
        LAYER6: "first 6 layers",
        DAISY: "DAISY",
        INPUT: "unprocessed input",
        Method("task-ee", 0.7): "task exits ρ 0.7",
        Method("oracle", 1.0): "oracle ρ 1.0",
        STUDENT: "distilled student",
    }
    assert {method: method.in_words for method in words} == words
    assert cell_label(GridCell(Method("daisy", 1.0), "avg")) == "DAISY ρ 1.0, avg"
    assert rho_name(1) == rho_name(1.0) == "rho1"


def test_one_order():
    cells = [GridCell(method) for method in (FULL, Method("layer", layer=2), Method("layer", layer=10), STUDENT)]
    known = ("avg", "min-max", "threshold", "all", "new")
    cells += [GridCell(Method("daisy", rho), strategy) for rho in (0.7, 0.76, 1.0) for strategy in known]
    cells += [GridCell(Method("task-ee", rho), strategy) for rho in (0.7, 1.0) for strategy in ("avg", "min-max")]
    cells += [GridCell(Method("oracle", 0.7)), GridCell(Method("oracle", 1.0)), GridCell(INPUT)]
    shuffled = random.Random(0).sample(cells, len(cells))
    assert sorted(shuffled, key=lambda cell: cell.key) == cells


def test_words_and_order_rerun_no_training():
    assert not {"daisy.report.wording", "daisy.exits.cell"} & set(closure("daisy.downstream.train"))


@dataclasses.dataclass(frozen=True)
class Several:
    """Settings with a tuple of objects."""

    methods: tuple[Method, ...]
    numbers: tuple[int, ...] = ()


def test_settings_hold_several():
    text = '{"methods": [{"kind": "full"}, {"kind": "layer", "layer": 6}], "numbers": [1, 2]}'
    assert stage.settings(Several, text) == Several((FULL, LAYER6), (1, 2))
    with pytest.raises(DaisyError, match=r"settings\.methods\[0\] has the unknown key 'name'"):
        stage.settings(Several, '{"methods": [{"name": "full"}]}')
