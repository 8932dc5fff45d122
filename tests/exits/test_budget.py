"""A budget: what thresholds spend, the threshold for a share, and the account of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from daisy.errors import DaisyError
from daisy.exits.budget import Controller, expected_exit, kept, spending, thresholds, within
from daisy.exits.calibration import Calibration, from_plain
from daisy.exits.rule import ExitRule

SIGNAL = np.array([[3.0, 1.0, 0.5], [2.0, 4.0, 0.5]])
COSTS, FULL = np.array([[11.0, 22, 32], [22.0, 44, 64]]), np.array([30.0, 60])
"""A branch costs a tenth of a layer, and the last one is not asked; the second recording is twice as long."""


def drawn(count: int, layers: int = 6, unsure: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entropies that fall with depth, and what recordings of unequal length cost: with branches, and in full."""
    chance = np.random.default_rng(7)
    signal = 3 - np.arange(layers) / 3 + chance.normal(unsure, 0.4, (count, layers))
    seconds = chance.uniform(1, 6, count)
    asked = np.minimum(np.arange(1, layers + 1), layers - 1)
    return signal, seconds[:, None] * (1 + np.arange(1, layers + 1) + 0.1 * asked), seconds * (1 + layers)


def test_what_thresholds_spend_by_hand():
    assert thresholds(SIGNAL, 1, 9).tolist() == [1, 2, 3, 4] and thresholds(SIGNAL, 2, 9).tolist() == [1, 4]
    assert thresholds(SIGNAL, 1, 3).tolist() == [1, 2.5, 4]
    known = spending(SIGNAL, COSTS, FULL, 1)
    assert known is not None and known.tau == (1, 2, 3, 4)
    assert known.spent == pytest.approx([(22 + 64) / 90, (22 + 22) / 90, (11 + 22) / 90, (11 + 22) / 90])
    assert known.mean_exit == (2.5, 1.5, 1, 1)
    assert spending(SIGNAL, COSTS, FULL, 3) is None, "nobody is asked before the last layer"


def test_a_share_is_the_table_read_the_other_way_round():
    signal, costs, full = drawn(400)
    known = spending(signal, costs, full, 1)
    assert known is not None and len(known.tau) == 33
    for share in (0.35, 0.5, 0.62, 0.8, 0.97):
        candidates, tau = within(known, 6, share)
        exits = ExitRule(candidates, tau).layers(signal)
        assert np.take_along_axis(costs, exits[:, None] - 1, 1).sum() / full.sum() == pytest.approx(share, abs=0.005)
        assert expected_exit(known, 6, share) == pytest.approx(exits.mean(), abs=0.05)
    assert within(known, 6, 1.0) == within(known, 6, 3.0) == ((6,), 0.0), "the full model asks nobody"
    assert within(known, 6, known.spent[-1]) == (tuple(range(1, 7)), known.tau[-1])
    assert within(known, 6, known.spent[-1] - 1e-9) == within(known, 6, -2) == ((1,), 0.0)
    floored = spending(signal, costs, full, 3)
    assert floored is not None and within(floored, 6, 0.7)[0] == (3, 4, 5, 6) and within(floored, 6, 0)[0] == (3,)


def test_it_travels_with_a_calibration():
    known = spending(SIGNAL, COSTS, FULL, 2)
    made = Calibration("midrange", (3.0, 2.0, 1.0), None, 0.2, {1.0: (1, 1, 0)}, spending=known)
    assert from_plain({"asr": made.plain()}, 3) == {"asr": made} and kept(made, "asr") == known
    for bad in ({"floor": 4}, {"tau": [1.0]}, {"spent": None}, {"tau": [], "spent": [], "mean_exit": []}):
        plain = made.plain()
        with pytest.raises(ValueError, match="asr"):
            from_plain({"asr": {**plain, "spending": {**plain["spending"], **bad}}}, 3)
    older = {key: value for key, value in made.plain().items() if key != "spending"}
    assert from_plain({"asr": older}, 3)["asr"].plain() == older
    with pytest.raises(DaisyError, match="asr does not say what thresholds spend"):
        kept(from_plain({"asr": older}, 3)["asr"], "asr")


@pytest.mark.parametrize("unsure", [-9.0, -0.5, 0.0, 0.5, 9.0])
@pytest.mark.parametrize("budget", [0.35, 0.6, 0.9, 1.0])
def test_a_stream_stays_within_its_bound_whatever_branches_say(budget, unsure):
    """Branches are surer or less sure of them than of the recordings that thresholds come from, up to all or none."""
    known = spending(*drawn(300), 1)
    assert known is not None
    signal, costs, full = drawn(200, unsure=unsure)
    controller = Controller(budget, known)
    assert controller.asked == budget and np.isnan(controller.share) and np.isinf(controller.bound)
    for row, cost, whole in zip(signal, costs, full, strict=True):
        rule = ExitRule(*within(known, 6, controller.asked))
        layer = rule.layer(row)
        unasked = whole / 7 * (1 + layer)
        controller.note(cost[layer - 1] if len(rule.candidates) > 1 else unasked, whole)
        assert abs(controller.share - budget) <= controller.bound + 1e-12
    assert abs(controller.share - budget) < 0.03 and controller.bound < 0.04


@pytest.mark.parametrize("budget", [0.0, -1.0, 1.01, float("nan"), 0.2])
def test_a_budget_that_cannot_be_kept(budget):
    known = spending(SIGNAL, COSTS, FULL, 1)
    assert known is not None
    with pytest.raises(DaisyError, match="the budget is|below what stopping everybody at layer 1 costs. Ask for 0.367"):
        Controller(budget, known)
