"""Curves of result against cost: by hand on two recordings, and their bounds on drawn ones."""

from __future__ import annotations

import numpy as np
import pytest

from daisy.errors import DaisyError
from daisy.evaluation.spending import EveryExit, Plane, load_exits, save_exits, weightings
from daisy.tasks.base import Metric

ACCURACY, WER = Metric("accuracy", "Accuracy (%)", True, 100.0), Metric("wer", "Word error rate (%)", False, 100.0)


def two() -> EveryExit:
    """Two recordings, three layers: the first is right from layer 1 on, the second only at the last."""
    right = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    return EveryExit(right, np.ones((2, 3)), np.array([[10.0, 20, 30], [20, 40, 60]]), np.array([1.0, 2.0]))


def drawn(count: int = 40, layers: int = 5) -> tuple[EveryExit, np.ndarray]:
    """Recordings that later layers serve better, and a signal that knows a little of it."""
    chance = np.random.default_rng(3)
    need = chance.integers(1, layers + 3, count)[:, None]
    right = (np.arange(1, layers + 1) >= need).astype(float)
    seconds = chance.uniform(1, 4, count)
    macs = seconds[:, None] * np.arange(1, layers + 1)
    signal = need - np.arange(1, layers + 1) + chance.normal(0, 1.5, (count, layers))
    return EveryExit(right, np.ones_like(right), macs, seconds / 20), signal


def test_a_curve_by_hand():
    plane = Plane(two(), ACCURACY, np.ones((1, 2)))
    curve = plane.by_signal(np.array([[0.1, 0.0, 0.0], [0.9, 0.5, 0.0]]))
    assert curve.tau.tolist() == [0.9, 0.5, 0.1, 0.0, -np.inf]
    assert curve.mean_exit.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert curve.value[0].tolist() == [50.0, 50.0, 100.0, 100.0, 100.0]
    # 30 for both at once, with a branch each; the last layer's branch is not asked.
    spent = [10 + 1 + 20 + 2, 10 + 1 + 40 + 4, 10 + 1 + 60 + 4, 20 + 2 + 60 + 4, 30 + 2 + 60 + 4]
    np.testing.assert_allclose(curve.share[0], np.array(spent) / 90)


def test_a_floor_asks_no_branch_below_it():
    plane = Plane(two(), ACCURACY, np.ones((1, 2)), floor=2)
    curve = plane.by_signal(np.zeros((2, 3)))
    assert curve.mean_exit.tolist() == [2.0, 3.0]
    np.testing.assert_allclose(curve.share[0], np.array([20 + 1 + 40 + 2, 90 + 1 + 2]) / 90)


def test_the_oracle_pays_for_nobody_in_vain():
    plane = Plane(two(), ACCURACY, np.ones((1, 2)))
    curve = plane.oracle()
    assert curve.mean_exit[[0, -1]].tolist() == [1.0, 2.0]
    assert curve.value[0, [0, -1]].tolist() == [50.0, 100.0]
    np.testing.assert_allclose(curve.share[0, [0, -1]], np.array([10 + 20, 10 + 60]) / 90)


def test_dealt_exits_cost_what_they_cost_on_average():
    plane = Plane(two(), ACCURACY, np.ones((1, 2)))
    curve = plane.dealt(np.array([[0.1, 0.0, 0.0], [0.9, 0.5, 0.0]]))
    # At 0.1 one stops at layer 1 and one at layer 3, whoever: half of the time the right one.
    assert curve.mean_exit[2] == 2.0 and curve.value[0, 2] == pytest.approx(75.0)
    assert curve.share[0, 2] == pytest.approx((11 + 22 + 32 + 64) / 2 / 90)


def test_a_rate_of_errors_counts_words_and_a_lower_one_is_better():
    every = two()
    errors = EveryExit(1 - every.numerators, np.array([[2.0] * 3, [6.0] * 3]), every.macs, every.branch)
    plane = Plane(errors, WER, np.ones((1, 2)))
    assert plane.fixed().value[0].tolist() == [12.5, 12.5, 0.0]
    assert plane.oracle().value[0, [0, -1]].tolist() == [12.5, 0.0]


def test_means_are_of_the_whole_range():
    plane = Plane(two(), ACCURACY, np.ones((1, 2)))
    curve = plane.fixed()
    np.testing.assert_allclose(curve.share[0], [1 / 3, 2 / 3, 1])
    one = np.ones(1)
    assert curve.means(one / 3, one) == pytest.approx(62.5, abs=0.01), "50 to the middle, then a line to 100"
    assert curve.means(one, 2 * one) == pytest.approx(100.0), "beyond its end it stays"


@pytest.mark.parametrize("sign", [1, -1])
def test_no_signal_passes_the_oracle_and_one_that_knows_passes_chance(sign):
    every, signal = drawn()
    if sign < 0:
        every = EveryExit(1 - every.numerators, every.denominators, every.macs, every.branch)
    plane = Plane(every, ACCURACY if sign > 0 else WER, weightings(40, 60, 1))
    curves = {"signal": plane.by_signal(signal), "random": plane.dealt(signal), "oracle": plane.oracle()}
    for curve in curves.values():
        assert (np.diff(curve.share, axis=1) >= -1e-12).all(), "in every draw"
    low, high = curves["signal"].share[:, 0], curves["signal"].share[:, -1]
    np.testing.assert_allclose(low, curves["random"].share[:, 0])
    means = {name: sign * curve.means(low, high) for name, curve in curves.items()}
    assert (means["oracle"] > means["signal"]).all()
    assert means["signal"][0] > means["random"][0]
    # At any cost, and not on average alone.
    steps = np.linspace(low[0], high[0], 50)
    at = {name: sign * np.interp(steps, curve.share[0], curve.value[0]) for name, curve in curves.items()}
    assert (at["oracle"] >= at["signal"] - 1e-9).all()


def test_the_first_weighting_counts_everybody_once():
    weights = weightings(7, 5, 1)
    assert weights.shape == (6, 7) and (weights[0] == 1).all() and (weights.sum(axis=1) == 7).all()


def test_kept_and_read_back(tmp_path):
    path = tmp_path / "layers.npz"
    save_exits(path, two())
    assert load_exits(path).macs.tolist() == two().macs.tolist()
    path.write_bytes(b"none")
    with pytest.raises(DaisyError, match="no results per layer"):
        load_exits(path)
