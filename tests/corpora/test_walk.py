"""The walk over a manifest: the same results however it reads, and errors of readers and writers in plain words."""

from __future__ import annotations

import errno
import threading

import numpy as np
import pytest
import torch
from project import GOLDEN
from runners import arguments

from daisy.common.progress import Progress
from daisy.common.transfer import CPU
from daisy.corpora import walk as walks
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.corpora.walk import walk
from daisy.errors import DaisyError, WriteError
from daisy.features import entropies, states
from daisy.targets import dump

MODEL = GOLDEN / "daisy_tiny_after_norm.pt"
PROGRESS = Progress("doubled", 60.0, "s of audio")
STATES = {"view": {"states": "after-norm"}, "storage": "float32", "batch_seconds": 4.0}


@pytest.fixture
def manifest(spoken) -> Manifest:
    return read_manifest(spoken / "train.tsv")


def test_every_recording_is_run_once_and_kept_in_its_place(manifest):
    kept: dict[int, torch.Tensor] = {}
    threads = set()

    def keep(batch: list[int], made: list[torch.Tensor]) -> None:
        threads.add(threading.current_thread().name)
        assert not kept.keys() & set(batch)
        kept.update(zip(batch, made, strict=True))

    walk(manifest, 4.0, CPU, PROGRESS, lambda waves: [2 * wave for wave in waves], keep)
    assert sorted(kept) == list(range(6)) and threading.current_thread().name not in threads
    assert all(torch.equal(item, 2 * manifest.wave(index)) for index, item in kept.items())


def test_readers_change_no_bit(spoken, monkeypatch):
    found = []
    for name, pace in (("none", (0, 0)), ("one", (1, 1)), ("many", (5, 9))):
        monkeypatch.setattr(walks, "reading", lambda device, pace=pace: pace)
        out = spoken / name
        given = {"checkpoint": MODEL, "manifest": spoken / "train.tsv"}
        states.main(arguments(STATES, **given, out=out / "states.npy"))
        dump.main(arguments({"layer": 3, "share": 0.5, "batch_seconds": 4.0}, **given, out=out))
        given = {"upstream": spoken / "daisy.pt", "manifest": spoken / "train.tsv"}
        entropies.main(arguments({"batch_seconds": 4.0}, **given, out=out / "entropies.npz"))
        with np.load(out / "entropies.npz") as file:
            found.append([np.load(out / "states.npy"), np.load(out / "train_0_1.npy"), file["entropies"]])
    for other in found[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_a_recording_that_cannot_be_read_stops_the_stage(spoken):
    (spoken / "3.flac").unlink()
    options = {"checkpoint": MODEL, "manifest": spoken / "train.tsv", "out": spoken / "states.npy"}
    with pytest.raises(DaisyError, match=r"3\.flac: the recording does not exist") as caught:
        states.main(arguments(STATES, **options))
    assert caught.value.file == spoken / "3.flac"
    assert not list(spoken.glob("*states*")) and threading.active_count() == 1


def full(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def test_too_little_memory_in_a_reader_or_a_writer_names_the_setting(spoken, manifest, monkeypatch):
    match = r"out of memory at u\d .*Lower upstream.batch_seconds"
    with pytest.raises(DaisyError, match=match):
        walk(manifest, 4.0, CPU, PROGRESS, lambda waves: waves, full)
    monkeypatch.setattr(Manifest, "wave", full)
    with pytest.raises(DaisyError, match=match):
        walk(manifest, 4.0, CPU, PROGRESS, lambda waves: waves, lambda batch, made: None)


def test_a_disk_that_fills_while_states_are_written(spoken, monkeypatch):
    class Full(np.ndarray):
        def __setitem__(self, place: object, value: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    room = states.room
    monkeypatch.setattr(states, "room", lambda *given: room(*given).view(Full))
    options = {"checkpoint": MODEL, "manifest": spoken / "train.tsv", "out": spoken / "states.npy"}
    with pytest.raises(WriteError, match="the disk is full"):
        states.main(arguments(STATES, **options))
    assert not list(spoken.glob("*states*"))
