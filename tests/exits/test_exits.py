from __future__ import annotations

import numpy as np
import pytest

from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration, from_plain
from daisy.exits.candidates import candidate_layers, falls_back
from daisy.exits.rule import ExitRule, all_candidates, histogram
from daisy.exits.signals import signal_of
from daisy.exits.thresholds import midrange, quantile, threshold_for
from daisy.workflow.digests import closure

COUNTS = [0, 0, 2, 10, 5, 3, 0, 0]


def test_midrange():
    assert midrange([1.4, 1.0, 0.6], 0.7) == pytest.approx(0.7)


def test_smallest_candidate_under_the_threshold():
    entropies = [3.0, 1.0, 2.0, 0.5]
    assert ExitRule((1, 2, 3, 4), 1.0).layer(entropies) == 2, "an entropy at the threshold stops"
    assert ExitRule((3, 4), 1.0).layer(entropies) == 4
    assert ExitRule((1, 3), 1.0).layer(entropies) == 3, "nothing qualifies: the largest candidate"
    assert ExitRule((4, 1, 4), 3.0).layer(entropies) == 1, "the order of candidates does not matter"
    assert ExitRule((4, 1, 4)) == ExitRule((1, 4))
    with pytest.raises(ValueError, match="without candidates"):
        ExitRule(())


def step_by_step(rule, entropies):
    """The exit of one utterance as a forward pass takes it: layer after layer, asking no branch in vain."""
    for k in range(1, rule.last + 1):
        if rule.asks(k) and rule.stops(k, np.array(entropies)):
            break
    return k


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_numbers_and_arrays_agree(kind):
    """Random entropies on a coarse grid, so that many lie at the threshold, and some that nobody measured."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        total = int(rng.integers(1, 13))
        candidates = rng.choice(np.arange(1, total + 1), rng.integers(1, total + 1), replace=False)
        rule = ExitRule(tuple(candidates.tolist()), rng.integers(0, 9) / 8)
        entropies = (rng.integers(0, 9, (50, total)) / 8).astype(kind)
        entropies[rng.random(entropies.shape) < 0.2] = np.nan
        found = rule.layers(entropies)
        assert found.dtype == np.int64 and found.shape == (50,)
        assert found.tolist() == [rule.layer(row) for row in entropies.tolist()]
        assert found.tolist() == [step_by_step(rule, row) for row in entropies.tolist()]
        for k in filter(rule.asks, range(1, total + 1)):
            assert rule.stops(k, entropies).tolist() == [bool(rule.stops(k, row)) for row in entropies]


def test_what_a_rule_asks():
    rule = ExitRule((5, 2, 3), 1.0)
    assert [k for k in range(1, 7) if rule.asks(k)] == [2, 3] and rule.last == 5
    assert not any(map(ExitRule((4,)).asks, range(1, 7))), "a fixed exit needs no branch"
    assert not any(ExitRule((1, 2), tau).stops(1, np.array([np.nan, 0.0])) for tau in (1.0, float("inf")))


def test_training_knows_no_strategy():
    assert not {"daisy.exits.candidates", "daisy.exits.thresholds"} & set(
        closure("daisy.downstream.train", "daisy.branches.train")
    )


def test_strategies():
    assert candidate_layers("avg", COUNTS, 0.2) == (4, 5)
    assert candidate_layers("avg", [0, 4, 0], 0.2) == (2,)
    assert candidate_layers("min-max", COUNTS, 0.2) == (3, 4, 5, 6)
    assert candidate_layers("threshold", COUNTS, 0.2) == (4, 5)
    assert candidate_layers("threshold", COUNTS, 0.6) == (4,), "the most frequent layer stands in"
    assert falls_back("threshold", COUNTS, 0.6) and not falls_back("threshold", COUNTS, 0.2)


def test_histogram():
    assert histogram([1, 3, 3], 4) == [1, 0, 2, 0]


def test_thresholds_and_faults():
    assert threshold_for("absolute", "asr", 0.5, [], 0.5145) == 0.5145, "as it stands"
    for call, message in [
        (lambda: threshold_for("absolute", "sid", 1.0, [], None), "thresholds.absolute.sid"),
        (lambda: threshold_for("median", "sid", 1.0, [], {}), "median"),
        (lambda: candidate_layers("avg", [0, 0], 0.1), "empty"),
        (lambda: candidate_layers("best", [1], 0.1), "best"),
    ]:
        with pytest.raises(DaisyError, match=message):
            call()


def test_values_on_the_edge():
    """An entropy at the threshold exits; a share of just q is none above it; there is no layer 0."""
    rng = np.random.default_rng(1)
    entropies = rng.integers(1, 6, (100, 6)) / 8
    rule, stricter = ExitRule((2, 3, 5, 6), 0.375), ExitRule((2, 3, 5, 6), 0.374)
    expected = [rule.layer(row) for row in entropies]
    assert rule.layers(entropies).tolist() == expected
    assert expected != [stricter.layer(row) for row in entropies]
    assert candidate_layers("threshold", COUNTS, 0.25) == (4,)
    assert falls_back("threshold", COUNTS, 0.5) and not falls_back("threshold", COUNTS, 0.49)
    assert all_candidates(1, 3) == (1, 2, 3)
    for floor in (0, 4):
        with pytest.raises(DaisyError, match=f"a floor at layer {floor} of a model of 3 layers"):
            all_candidates(floor, 3)


def test_a_quantile_is_the_median_at_rho_1():
    measured = np.array([[9.0, 1.0], [3.0, 2.0]])
    assert quantile(measured, 1.0) == 2.5
    assert quantile(measured, 2 / 3) == 2.0
    assert quantile(measured, 2.0) == quantile(measured, 5.0) == 9.0, "everybody stops"
    assert threshold_for("quantile", "asr", 1.0, [], 2.5) == 2.5


def test_the_signal_of_a_request():
    calibrations = {
        "asr": Calibration("midrange", (1.0,), None, 0.2, {1.0: (1,)}, "margin"),
        "sid": Calibration("midrange", (1.0,), None, 0.2, {1.0: (1,)}),
    }
    assert [signal_of(calibrations, task, None) for task in ("asr", "sid", None)] == ["margin", "entropy", "entropy"]
    assert signal_of(calibrations, "asr", "margin") == signal_of(calibrations, None, "margin") == "margin"
    for task, asked, message in [
        ("asr", "top", "calibrated for the signal margin"),
        (None, "sure", "'sure' is unknown"),
    ]:
        with pytest.raises(DaisyError, match=message):
            signal_of(calibrations, task, asked)
    for task, item in from_plain({task: item.plain() for task, item in calibrations.items()}, 1).items():
        assert item == calibrations[task]
    assert "signal" not in calibrations["sid"].plain(), "files of the paper's method stay as they were"
