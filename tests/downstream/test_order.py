"""What comes into a batch together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from daisy.downstream.trainer import order

FRAMES = np.random.default_rng(0).integers(30, 60, 53)
SIZE = 8
PER_EPOCH = 7


def epochs(kind: str, count: int = 3, frames: np.ndarray = FRAMES, seed: int = 1) -> list[list[list[int]]]:
    batches = order(frames, SIZE, seed, kind)
    return [list(itertools.islice(batches, PER_EPOCH)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["similar", "fixed", "shuffled"])
def test_every_utterance_is_in_every_epoch_once(kind):
    found = epochs(kind)
    for epoch in found:
        assert sorted(itertools.chain(*epoch)) == list(range(53))
        assert sorted(map(len, epoch)) == [5] + [SIZE] * 6
    assert found[0] != found[1] != found[2]
    assert epochs(kind) == found != epochs(kind, seed=2)


def test_fixed_batches_are_cut_from_the_longest_on():
    found = epochs("fixed")
    sets = [{frozenset(batch) for batch in epoch} for epoch in found]
    assert sets[0] == sets[1] == sets[2]
    cut = sorted((sorted(FRAMES[batch], reverse=True) for batch in found[0]), reverse=True)
    assert list(itertools.chain(*cut)) == sorted(FRAMES, reverse=True) and len(cut[-1]) == 5


def test_shuffled_batches_do_not_look_at_lengths():
    assert epochs("shuffled") == epochs("shuffled", frames=np.ones_like(FRAMES))
    assert epochs("fixed") != epochs("fixed", frames=np.ones_like(FRAMES))


def test_similar_batches_are_of_similar_length_but_not_the_same():
    frames = np.random.default_rng(0).integers(30, 300, 4000)
    batches = list(itertools.islice(order(frames, SIZE, 1), 1000))
    spread = [np.ptp(frames[batch]) for batch in batches]
    assert np.mean(spread) < 20
    assert {frozenset(batch) for batch in batches[:500]}.isdisjoint(frozenset(batch) for batch in batches[500:])


def test_balanced_batches_hear_every_class_as_often():
    classes = [0] * 700 + [1] * 90 + [2] * 10
    draw = order(np.ones(800, dtype=int), SIZE, 1, "balanced", classes)
    batches = list(itertools.islice(draw, 600))
    counts = np.bincount([classes[index] for batch in batches for index in batch])
    assert {len(batch) for batch in batches} == {SIZE} and np.abs(counts / counts.sum() - 1 / 3).max() < 0.03
    again = order(np.ones(800, dtype=int), SIZE, 1, "balanced", classes)
    other = order(np.ones(800, dtype=int), SIZE, 2, "balanced", classes)
    assert list(itertools.islice(again, 9)) == batches[:9] != list(itertools.islice(other, 9))


def test_equal_lengths_are_in_no_order_of_their_own():
    """States that are averaged over time have one frame each: neighbours in the list are often of one speaker."""
    batches = list(itertools.islice(order(np.ones(800, dtype=int), SIZE, 1, "fixed"), 100))
    assert np.mean([np.ptp(batch) for batch in batches]) > 400
