"""The command on recordings, places and questions as people have them: one clear line, and no traceback."""

from __future__ import annotations

import csv
import shutil
import sys
import types
from pathlib import Path

import pytest
import torch
from project import GOLDEN, ROOT
from runners import finished

import daisy
from daisy.cli import main as command
from daisy.cli.exits import explained
from daisy.cli.main import main
from daisy.library import extract as extraction
from daisy.library.model import Daisy

MODEL = str(GOLDEN / "daisy_tiny_after_norm.pt")
WAV = str(GOLDEN / "agent-pass.wav")
CASES = ROOT / "tests/cases/wav"


def refused(capsys, *arguments: object) -> str:
    """The one line of a command that must fail."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and text.startswith(f"daisy {arguments[0]}: error: "), text
    return text


@pytest.mark.parametrize("name", ["cut.wav", "nan_float.wav", "inf_float.wav", "loud_float.wav", "lfs.flac", "399.wav"])
def test_extract_names_a_bad_recording_before_it_computes(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr(Daisy, "__call__", lambda *_, **__: pytest.fail("something was computed"))
    assert name in refused(capsys, "extract", MODEL, WAV, CASES / name, "--out", tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_extract_leaves_bad_recordings_out(tmp_path, capsys):
    bad = ["cut.flac", "cut.wav", "nan_float.wav", "lfs.flac", "399.wav", "head_only.wav"]
    good = ["400.wav", "pipe.wav", "zero_sizes.wav"]
    for name in [*bad, *good]:
        shutil.copy(CASES / name, tmp_path)
    asked = ["extract", MODEL, str(tmp_path), "--layer", "1", "--skip-bad", "--out", str(tmp_path / "f")]
    for _ in range(2):  # the second time nothing is left to do but to say so
        assert main(asked) == 3
        captured = capsys.readouterr()
        assert "3 recordings, mean exit layer" in captured.out
        assert "6 recordings were left out" in captured.err and all(name in captured.err for name in bad)
    found = [Path(file).name for file, _, _ in extraction.read_features(tmp_path / "f")]
    assert found == good
    with open(tmp_path / "f/skipped.csv", newline="") as file:
        assert [Path(row["file"]).name for row in csv.DictReader(file)] == sorted(bad)
    assert "none of the 1 recordings can be used" in refused(
        capsys, "extract", MODEL, CASES / "cut.wav", "--skip-bad", "--out", tmp_path / "g"
    )
    assert main([*asked[:2], WAV, *asked[3:-1], str(tmp_path / "h")]) == 0


def test_an_empty_line_of_a_list_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(WAV, tmp_path / "other.wav")
    Path("list.txt").write_text(f"{WAV}\n\n")
    assert main(["extract", MODEL, "@list.txt", "--layer", "1", "--out", "f"]) == 0
    assert [file for file, _, _ in extraction.read_features("f")] == [WAV]


def test_places_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file/below", "/proc/none"):
        text = refused(capsys, "extract", MODEL, WAV, "--layer", 1, "--out", out)
        assert str(out) in text
    for arguments in (
        ["convert", MODEL, tmp_path / "file/x.safetensors"],
        ["convert", MODEL, "/proc/none/x", "--format", "transformers"],
        ["exits", MODEL, WAV, "--png", "/proc/none/x.png"],
        ["exits", MODEL, WAV, "--png", tmp_path],
        ["export-onnx", MODEL, "/proc/none/x"],
    ):
        refused(capsys, *arguments)


def test_what_leads_nowhere_is_told_so(tmp_path, capsys, monkeypatch):
    asked = ["extract", MODEL, WAV, "--threads", 999999, "--layer", 1, "--out", tmp_path / "f"]
    assert main([str(argument) for argument in asked]) == 0
    other = GOLDEN / "call-waiting.wav"
    assert "of other recordings, or of the same by other paths" in refused(capsys, *asked[:2], other, *asked[3:])
    (tmp_path / "f/request.json").write_text("{")
    assert "not valid JSON" in (text := refused(capsys, *asked)) and "Choose a new folder, or delete this one" in text
    assert "models are not downloaded" in refused(capsys, "exits", "facebook/hubert-base-ls960", WAV)
    assert "it is a file" in refused(capsys, "data", "import", WAV, "--out", tmp_path / "c")
    assert "the figure is a PNG" in refused(capsys, "exits", MODEL, WAV, "--png", tmp_path / "x.svg")
    monkeypatch.chdir(tmp_path)
    assert "or name the folder of a corpus" in refused(capsys, "data", "check")


def test_thresholds_below_zero_and_devices_that_are_not_there(tmp_path, capsys):
    assert "no entropy is below zero" in refused(capsys, "exits", MODEL, WAV, "--threshold", "-1")
    devices = ["gpu", "cuda:77"] + ([] if torch.cuda.is_available() else ["cuda"])
    for device in devices:
        text = refused(capsys, "extract", MODEL, WAV, "--device", device, "--out", tmp_path / "f")
        assert f"no device '{device}'" in text


def test_exits_explains_itself(capsys):
    assert main(["exits", MODEL, WAV, "--threshold", "0.01"]) == 0
    text = capsys.readouterr().out
    assert "* a candidate" in text and "it goes on to layer 6, the last of all layers" in text
    assert main(["exits", MODEL, WAV, "--threshold", "99"]) == 0
    assert "Layer 1 is the first candidate" in capsys.readouterr().out
    assert "to layer 2, the last candidate" in explained([3.0, 2.0, 1.0], (1, 2), 0.5, 2, "entropy")
    assert main(["exits", MODEL, WAV, "--layer", "2"]) == 0
    assert "always stops at layer 2" in capsys.readouterr().out


def test_python_runs_the_package():
    assert finished([sys.executable, "-m", "daisy", "--version"]).stdout.strip() == f"daisy {daisy.__version__}"


def test_the_shell_is_answered(monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "argcomplete", types.SimpleNamespace(autocomplete=asked.append))
    parser = command.build_parser()
    command.offer_completions(parser)
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    command.offer_completions(parser)
    assert asked == [parser]
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    command.offer_completions(parser)
    assert "PYTHON_ARGCOMPLETE_OK" in (Path(command.__file__).read_text(encoding="utf-8")[:1024])


@pytest.mark.parametrize(
    "value", ["batch-seconds inf", "shard-seconds nan", "threads -1", "threads 0", "threshold inf"]
)
def test_numbers_that_are_none(tmp_path, capsys, value):
    name, number = value.split()
    assert f"--{name} is {number}" in refused(
        capsys, "extract", MODEL, WAV, f"--{name}={number}", "--out", tmp_path / "f"
    )


def test_what_was_left_out_before_is_told_no_more(tmp_path):
    asked = ["--layer", "1", "--skip-bad", "--out", str(tmp_path / "f")]
    assert main(["extract", MODEL, WAV, str(CASES / "cut.wav"), *asked]) == 3 and (tmp_path / "f/skipped.csv").exists()
    assert main(["extract", MODEL, WAV, *asked]) == 0 and not (tmp_path / "f/skipped.csv").exists()
