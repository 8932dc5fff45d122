"""`daisy extract` on recordings longer than a window: whole, interrupted, with exits per recording and per window."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from project import GOLDEN

import daisy
from daisy.cli.main import main
from daisy.hubert.packing import Windowed
from daisy.library.extract import read_features

MODEL = str(GOLDEN / "daisy_tiny_after_norm.pt")


@pytest.fixture
def folder(tmp_path, waves) -> Path:
    """Two recordings of 12 s and a short one."""
    speech = torch.cat(waves).numpy()
    for name, wave in (("a", speech), ("b", speech[::-1]), ("c", speech[:30_000])):
        soundfile.write(tmp_path / f"{name}.wav", wave, 16_000)
    return tmp_path


def extract(folder: Path, out: str, *arguments: str) -> int:
    return main(["extract", MODEL, str(folder), "--out", str(folder / out), "--window", "2", *arguments])


def rows(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_recording_stops_as_in_the_library(folder):
    assert extract(folder, "f", "--threshold", "3.9") == 0
    waves = [torch.from_numpy(soundfile.read(folder / f"{name}.wav", dtype="float32")[0]) for name in "abc"]
    direct = daisy.load(MODEL)(waves, threshold=3.9, window=2.0)
    for (_, states, layer), expected, k in zip(
        read_features(folder / "f"), direct.features, direct.exit_layer, strict=True
    ):
        assert layer == k and torch.allclose(states, expected, atol=1e-5)
    assert not (folder / "f/windows.csv").exists()


def test_an_interrupted_extraction_goes_on_behind_the_last_whole_shard(folder, monkeypatch):
    """A long recording that was under way begins anew."""
    asked = ("--layer", "3", "--per-window", "--states", "last", "--shard-seconds", "1")
    assert extract(folder, "whole", *asked) == 0
    through, calls = Windowed.through, iter(range(1000))

    def interrupted(*arguments):
        if next(calls) == 4:  # in the second recording's second layer
            signal.raise_signal(signal.SIGINT)
        return through(*arguments)

    monkeypatch.setattr(Windowed, "through", interrupted)
    assert extract(folder, "f", *asked) == 130
    assert [file.name for file in (folder / "f").glob("shard-*")] == ["shard-00000.safetensors"]
    monkeypatch.setattr(Windowed, "through", through)
    assert extract(folder, "f", *asked) == 0
    for file in (folder / "whole").iterdir():
        assert file.read_bytes() == (folder / "f" / file.name).read_bytes()


def test_windows_stop_by_themselves(folder):
    wave = torch.from_numpy(soundfile.read(folder / "a.wav", dtype="float32")[0])
    model = daisy.load(MODEL)
    asked = model([wave], threshold=0.0, window=2.0, granularity="window").windows[0]
    table = np.array([one.entropies[:5] for one in asked])
    tau = float(np.median(table[:, table.mean(0).argmin()]))  # which half of the windows pass there
    assert extract(folder, "f", "--threshold", str(tau), "--per-window", "--states", "last") == 0
    direct = model([wave], threshold=tau, window=2.0, granularity="window")
    found = [row for row in rows(folder / "f/windows.csv") if row["file"].endswith("a.wav")]
    windows = direct.windows[0]
    assert len({one.layer for one in windows}) > 1
    assert [int(row["exit_layer"]) for row in found] == [one.layer for one in windows]
    assert [int(row["first_frame"]) for row in found] == [one.begin for one in windows]
    assert [row["entropy_6"] for row in found] == [""] * len(windows), "the last layer is not asked"
    assert float(found[0]["entropy_1"]) == pytest.approx(windows[0].entropies[0], abs=1e-5)
    (_, states, layer), *_ = read_features(folder / "f")
    assert layer == direct.exit_layer[0] == max(one.layer for one in windows)
    expected = np.concatenate([direct.features[0][one.layer, one.begin : one.end] for one in windows])
    np.testing.assert_allclose(states, expected, atol=1e-5)
    assert len(rows(folder / "f/exits.csv")) == 3 < len(rows(folder / "f/windows.csv"))


def test_too_short_a_window_is_refused(folder, capsys):
    assert extract(folder, "f", "--layer", "1", "--window", "0.1") == 1
    assert "a window of 0.1 s" in capsys.readouterr().err and not (folder / "f").exists()
