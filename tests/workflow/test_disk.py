"""The disk that a plan promises is what a run takes."""

from __future__ import annotations

import csv

import pytest

from daisy.hubert.shape import Shape
from daisy.workflow import disk

TASKS = ("sid", "asr", "se", "ss")


def test_states_take_what_is_planned(nano):
    for task in TASKS:
        for part in ("train", "dev", "test"):
            audio = disk.audio_of(nano / f"manifests/{task}/summary.csv", "", part)
            storage = "float32" if part == "test" else "float16"
            planned = disk.states(audio, Shape(12, 128, 320), storage, pooled=task == "sid")
            real = (nano / f"states/{task}/{part}/states.npy").stat().st_size
            # An utterance has half a frame less than its length says, and minutes are rounded.
            assert planned == pytest.approx(real, rel=0.1)


def test_audio_is_that_of_the_manifests(nano):
    with open(nano / "manifests/asr/train.csv", newline="") as file:
        count = len(list(csv.DictReader(file)))
    assert disk.audio_of(nano / "manifests/asr/summary.csv", "librispeech-10h", "train").recordings == count


def test_before_the_manifests(tmp_path):
    assert disk.audio_of(tmp_path / "summary.csv", "librispeech-10h", "train").seconds == 36_000
    assert disk.audio_of(tmp_path / "summary.csv", "my/folder", "train") == (0, 0.0)
    hour = disk.Audio(600, 3600.0)
    base = Shape(12, 768, 320)
    assert disk.states(hour, base, "float16", pooled=False) == 3600 * 50 * 13 * 768 * 2
    assert disk.states(hour, base, "float16", pooled=True) == 600 * 13 * 768 * 2
    assert disk.drawn_frames(hour, base, 0.1, 0.5, 4) == 3600 * 50 * 0.05 * 768 * 4 / 4
    assert disk.expected("libri2mix", "train") == disk.EXPECTED["libri2mix"]["train"] == (13_900, 208_800)
    assert disk.audio_of(tmp_path / "summary.csv", "libri2mix", "train", 1390) == (1390, 20_880)
    assert disk.audio_of(tmp_path / "summary.csv", "libri2mix", "train", 1390, share=0.1) == (139, 2088)
    assert disk.expected("voicebank-demand", "dev", 10**6).recordings == 770 and disk.expected("", "dev", 5) == (0, 0)
    assert disk.megabytes(0) == 1 and disk.megabytes(1.5e6) == 2
