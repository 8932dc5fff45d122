"""The way of tensors to a GPU and back, with stand-ins for its streams and events: what goes out comes back alike."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from daisy.common import transfer
from daisy.common.transfer import Fetched, Sent
from daisy.features import kept
from daisy.features.kept import Features


class Place(str):
    """A device that says it is a GPU, and lies on the CPU."""

    type = "cuda"


class Stream:
    """Notes what is asked of it, and is its own event."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str):
        return lambda *_: (self.asked.append(name), self)[1]


class Far(torch.Tensor):
    """A tensor that says it is on a GPU."""

    device = Place("cpu")


@pytest.fixture
def stream(monkeypatch) -> Stream:
    found = Stream()
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: found)
    monkeypatch.setattr(transfer, "_stream", lambda *_: found)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: found.asked.append("record_stream"))
    for module in (transfer, kept):
        monkeypatch.setattr(module, "buffer", lambda shape, kind, _: torch.zeros(*shape, dtype=kind))
    return found


def test_recordings_go_in_one_copy(stream):
    waves = [torch.randn(count) for count in (5, 3, 7)]
    sent = Sent(waves, Place("cpu"))
    assert stream.asked == ["record_event"]
    arrived = sent.arrived()
    assert stream.asked == ["record_event", "wait_event", "record_stream"]
    assert all(torch.equal(one, other) for one, other in zip(arrived, waves, strict=True))
    assert len({item.untyped_storage().data_ptr() for item in arrived}) == 1


def test_results_come_back_in_one_copy_that_follows_the_pass(stream):
    made = [torch.randn(2, 3, 4), torch.randn(5, 1, 2), torch.randn(6)]
    fetched = Fetched([item.as_subclass(Far) for item in made])
    assert stream.asked == ["wait_stream", "record_event", "record_stream"], "nobody waits yet"
    arrived = fetched.arrived()
    assert stream.asked[-1] == "synchronize"
    for one, other in zip(arrived, made, strict=True):
        assert torch.equal(one.as_subclass(torch.Tensor), other)


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_kept_states_travel_as_they_are_stored(stream, kind):
    states = np.random.default_rng(0).normal(size=(9, 4, 3)).astype(kind)
    features = Features(states, np.array([2, 4, 3]))
    read = features.read([2, 0, 1], 2, Place("cpu"))
    assert read.arrived()[0].dtype == getattr(torch, kind)
    far, near = features.padded(read), features.padded(features.read([2, 0, 1], 2))
    assert far.dtype == torch.float32 and torch.equal(far, near)
    for row, item in zip(near, features.batch([2, 0, 1], 2), strict=True):
        assert torch.equal(row[: len(item)], item) and not row[len(item) :].any()
