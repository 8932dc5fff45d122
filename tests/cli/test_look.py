"""`daisy exits` under noise, and the model that ships, from the command line."""

from __future__ import annotations

import json

import pytest
import soundfile
from matplotlib import style
from project import GOLDEN

from daisy.cli import exits
from daisy.cli.main import main
from daisy.exits.rule import ExitRule
from daisy.library import under_noise
from daisy.library.model import load
from daisy.library.shipped import SENTENCE
from daisy.report import stopping
from daisy.report.drawing import STYLE

MODEL = str(GOLDEN / "daisy_tiny_after_norm.pt")
WAV = str(GOLDEN / "agent-pass.wav")


def test_a_look(tmp_path, capsys):
    assert main(["exits", "tiny", "--noise", "speech-shaped", "--png", str(tmp_path / "look.png")]) == 0
    head, columns, *rows, _, last = capsys.readouterr().out.splitlines()
    model = load("tiny")
    largest = max(model.calibrations["asr"].counts)
    assert SENTENCE.name in head and f"task asr, rho {largest:g}, min-max" in head and "arithmetic" in columns
    names = ["clean", "speech-shaped, 20 dB", "speech-shaped, 10 dB", "speech-shaped, 0 dB"]
    assert [row[:28].rstrip() for row in rows] == names
    rule = ExitRule(*model.exits(rho=largest, strategy="min-max", task="asr"))
    speech = under_noise.recording(SENTENCE, 400)[0]
    found = under_noise.heard(model, speech, rule, kind="speech-shaped", snrs=(20, 10, 0), seed=1337)
    for row, item in zip(rows, found, strict=True):
        assert row[28:].split() == [str(item.stop), f"{item.entropies[item.stop - 1]:.3f}", f"{item.share:.0%}"]
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG") and last.startswith(str(tmp_path / "look.png"))


def test_the_figure_speaks_for_itself():
    model, rule = load(MODEL), ExitRule(tuple(range(1, 7)), 4.0)
    speech = under_noise.recording(SENTENCE, 400)[0][:8000]
    found = under_noise.heard(model, speech, rule, kind="white", snrs=(20, 15, 10, 5, 0), seed=1)
    shown = [(item.snr_db, item.kind, item.entropies, item.stop) for item in found]
    with style.context(["default", STYLE]):
        (axes,) = stopping.draw(shown, rule, "words", exits.heading(found)).axes
    assert f"stops at layer {found[0].stop} of 6" in axes.get_title(loc="left")
    texts = [text.get_text() for text in axes.texts]
    assert [f"white noise, {snr} dB" in str(texts) for snr in (20, 15, 10, 5, 0)] == [True] * 5
    assert any(f"{found[0].share:.0%} of the arithmetic when clean" in text for text in texts)
    assert len(set(stopping.colours(shown))) == 6


def test_without_noise_or_calibration(tmp_path, capsys):
    assert main(["exits", MODEL, WAV, "--layer", "2", "--png", str(tmp_path / "a.png")]) == 0
    text = capsys.readouterr().out
    assert "It always stops at layer 2" in text and (tmp_path / "a.png").exists()
    assert main(["exits", MODEL, WAV]) == 0 and "at the last layer" in capsys.readouterr().out
    soundfile.write(tmp_path / "a.wav", [[0.1, -0.1], [0.2, 0.1]] * 4000, 8000)
    assert main(["exits", "tiny", str(tmp_path / "a.wav"), "--noise", WAV, "--snr", "5"]) == 0
    text = capsys.readouterr().out
    assert "8000 Hz, 2 channels: taken at 16 kHz, one channel" in text and "agent-pass, 5 dB" in text


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["tiny", "--snr", "20"], "--snr without --noise. Say which noise"),
        (["tiny", "--noise", "wite"], "no noise and no file: 'wite'"),
        (["tiny", "--noise", "white", "--snr", "nan"], "--snr nan. Give ratios from -100 to 100 dB"),
        (["tiny", "--noise", "white", "--snr", "500"], "--snr 500. Give"),
        (["tiny", "gone.wav"], "gone.wav: the recording does not exist"),
        (["tiny", "Makefile"], "Makefile: the recording cannot be read"),
        (["tony"], "no shipped model 'tony'"),
        (["gone.safetensors", WAV], "gone.safetensors: the checkpoint does not exist"),
        (["daisy/models/hubert_tiny.safetensors", WAV], "the model has no exit branches"),
        (["tiny", "--rho", "1"], "strategy is missing"),
        (["tiny", "--png", "a.jpg"], "a.jpg: the figure is a PNG"),
    ],
)
def test_bad_input_is_one_line(given, problem, capsys):
    assert main(["exits", *given]) == 1
    captured = capsys.readouterr()
    assert problem in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_the_shipped_model_in_other_commands(tmp_path, capsys):
    assert main(["info", "tiny"]) == 0
    assert "exits from" in capsys.readouterr().out
    main(["info", "--json", "tiny"])
    assert json.loads(capsys.readouterr().out)["exits_from"]["run"]
    assert main(["convert", "tiny", str(tmp_path / "a.pt")]) == 0
    assert load(tmp_path / "a.pt").calibrations == load("tiny").calibrations
    asked = ["extract", "tiny", WAV, "--out", str(tmp_path / "f"), "--rho", "1", "--strategy", "avg", "--task", "asr"]
    assert main(asked) == 0 and main(asked) == 0
