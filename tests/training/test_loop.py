"""The loop that trainings run in: what it reads and when, and values that are read a step later."""

from __future__ import annotations

import itertools
import types

import numpy as np
import pytest
import torch

from daisy.common.transfer import CPU
from daisy.downstream.exits import EachItsOwn
from daisy.downstream.trainer import Trainer
from daisy.errors import DaisyError
from daisy.training.loop import Loop
from daisy.training.resume import Resumable
from daisy.training.workers import Workers

PACES = [(0, 0), (1, 1), (3, 4)]


class Toy:
    """A training of one weight, whose every event is noted."""

    def __init__(self, folder, pace, lag: int = 0, steps: int = 9, save_every: int = 4) -> None:
        self.weight = torch.nn.Linear(1, 1, bias=False)
        self.saved = Resumable(folder, {"weight": self.weight}, {"toy": 1})
        self.loop = Loop("toy", steps, save_every, "toy.size", self.saved, lag=lag)
        self.pace = pace
        self.read: list[int] = []
        self.events: list[tuple[str, int]] = []
        self.history: list[int] = []

    def run(self, stop: int | None = None) -> None:
        done, extra = self.saved.restore()
        self.history = extra.get("history", [])

        def read(step: int, batch: list[int]) -> list[int]:
            self.read.append(step)
            return [step, *batch]

        def update(step: int, batch: list[int]):
            assert batch == [step, step - 1], "the batch of this step and no other"
            if step == stop:
                raise KeyboardInterrupt
            self.events.append(("step", step))

            def values() -> tuple[dict[str, float], str]:
                self.events.append(("values", step))
                self.history.append(step)
                return {"loss": 1.0}, ""

            return values

        batches = ([number] for number in itertools.count())
        self.loop.run(batches, read, update, lambda: {"history": list(self.history)}, done, self.pace)


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("pace", PACES)
def test_what_was_done_is_not_read_again(tmp_path, pace, lag):
    first = Toy(tmp_path, pace, lag)
    with pytest.raises(KeyboardInterrupt):
        first.run(stop=7)
    assert sorted(first.read)[:7] == list(range(1, 8)) and max(first.read) <= 7 + pace[1]
    second = Toy(tmp_path, pace, lag)
    second.run()
    assert sorted(second.read) == [5, 6, 7, 8, 9], "neither what was done nor what nobody needs"
    assert second.history == list(range(1, 10))


def test_values_may_come_a_step_late_but_not_after_a_saved_state(tmp_path):
    toy = Toy(tmp_path, (1, 1), lag=1, steps=6, save_every=3)
    toy.run()
    order_of = {event: place for place, event in enumerate(toy.events)}
    assert order_of["values", 1] > order_of["step", 2] and order_of["values", 4] > order_of["step", 5]
    assert order_of["values", 3] < order_of["step", 4]
    assert [step for kind, step in toy.events if kind == "values"] == list(range(1, 7))
    at_once = Toy(tmp_path / "other", (1, 1), steps=3)
    at_once.run()
    assert at_once.events == [(kind, step) for step in (1, 2, 3) for kind in ("step", "values")]


@pytest.mark.parametrize("pace", PACES)
def test_too_little_memory_for_a_batch_names_the_setting(tmp_path, pace):
    def read(step: int, batch: list[int]) -> list[int]:
        if step == 3:
            raise MemoryError
        return batch

    def update(step: int, batch: list[int]):
        steps.append(step)
        return lambda: ({}, "")

    loop = Loop("toy", 9, 4, "toy.size", Resumable(tmp_path, {}, {}))
    steps: list[int] = []
    with pytest.raises(DaisyError, match=r"out of memory at step 3 .*Lower toy\.size"):
        loop.run(itertools.repeat([1]), read, update, dict, 0, pace)
    assert steps == [1, 2]


def test_each_process_reads_its_parts_alone():
    batch = [3, 1, 4, 15, 9, 2, 6]
    shares, read = [], []
    for rank in range(2):
        split = types.SimpleNamespace(read=lambda part, exits, device: read.append(part))
        own = types.SimpleNamespace(workers=Workers(rank, 2), settings=types.SimpleNamespace(accumulate=2))
        own.exits, own.train, own.device = EachItsOwn(np.ones(20, int), 1), split, CPU
        shares += [share for share, _ in Trainer.read(own, 1, batch)]
        assert len(read) == 2 * (rank + 1)
    assert sorted(index for part in read for index in part) == sorted(batch) and sum(shares) == pytest.approx(1)


def test_gradients_of_one_tensor_are_those_of_many(monkeypatch):
    """With a second process that has the same: every gradient doubled, also one that was missing."""
    monkeypatch.setattr("daisy.training.workers.distributed.all_reduce", lambda flat: flat.mul_(2))
    torch.manual_seed(0)
    parameters = [torch.randn(shape, requires_grad=True) for shape in ((3, 2), (4,), ())]
    inputs = [torch.randn_like(item) for item in parameters]
    (parameters[0] * inputs[0]).sum().backward()
    parameters[2].backward()
    Workers(0, 2)._sum_gradients(parameters)
    expected = [2 * inputs[0], torch.zeros(4), torch.tensor(2.0)]
    for item, value in zip(parameters, expected, strict=True):
        assert torch.equal(item.grad, value) and item.grad.shape == item.shape
