from __future__ import annotations

import numpy as np
import pytest

from daisy.errors import DaisyError
from daisy.exits import candidate_layers, exit_layer, exit_layers, falls_back, histogram, midrange, threshold_for

COUNTS = [0, 0, 2, 10, 5, 3, 0, 0]


def test_midrange():
    assert midrange([1.4, 1.0, 0.6], 0.7) == pytest.approx(0.7)


def test_smallest_candidate_under_the_threshold():
    entropies = [3.0, 1.0, 2.0, 0.5]
    assert exit_layer(entropies, [1, 2, 3, 4], 1.0) == 2
    assert exit_layer(entropies, [3, 4], 1.0) == 4
    assert exit_layer(entropies, [1, 3], 1.0) == 3, "nothing qualifies: the largest candidate"
    assert exit_layer(entropies, [4, 1], 3.0) == 1, "the order of candidates does not matter"


def test_vectorised_rule_agrees():
    rng = np.random.default_rng(0)
    entropies = rng.random((200, 12))
    for candidates in ([1], [2, 5], range(1, 13), [12, 3, 7]):
        expected = [exit_layer(row, list(candidates), 0.3) for row in entropies]
        assert exit_layers(entropies, list(candidates), 0.3).tolist() == expected


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
    assert threshold_for("absolute", "asr", 0.5, [], {"asr": 0.5145}) == pytest.approx(0.25725)
    for call, message in [
        (lambda: threshold_for("absolute", "sid", 1.0, [], {}), "thresholds.absolute.sid"),
        (lambda: threshold_for("median", "sid", 1.0, [], {}), "median"),
        (lambda: candidate_layers("avg", [0, 0], 0.1), "empty"),
        (lambda: candidate_layers("best", [1], 0.1), "best"),
    ]:
        with pytest.raises(DaisyError, match=message):
            call()
