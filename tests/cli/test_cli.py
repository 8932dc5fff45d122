"""The command `daisy`: what it prints, what it writes, how it fails and resumes."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from project import GOLDEN
from runners import ended, finished

import daisy
from daisy.cli import doctor
from daisy.cli.main import SUBCOMMANDS, build_parser, main, parsed
from daisy.common import audio
from daisy.exits.calibration import Calibration
from daisy.hubert.checkpoint import load, save
from daisy.library import extract as extraction

MODEL = str(GOLDEN / "daisy_tiny_after_norm.pt")
WAV = str(GOLDEN / "agent-pass.wav")
FACTS = {"free_disk_gib": 1, "gpus": []}


def test_help_names_every_subcommand(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in SUBCOMMANDS)
    for name in SUBCOMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"daisy {name}" in capsys.readouterr().out.split("examples:")[1]


def test_wrong_command_line_is_status_2():
    for arguments in ([], ["fly"], ["info"], ["extract", MODEL, WAV]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2


def test_files_stand_on_both_sides_of_an_option(capsys):
    found = parsed(build_parser(), ["extract", MODEL, "a.wav", "--out", "d", "b.wav", "--layer", "2", "c.wav"])
    assert (found.files, found.out, found.layer) == (["a.wav", "b.wav", "c.wav"], Path("d"), 2)
    found = parsed(build_parser(), ["data", "check", "a", "--json", "b"])
    assert found.folders == [Path("a"), Path("b")] and found.json
    for line in (
        ["extract", MODEL, "a.wav", "--out", "d", "b.wav", "--no"],
        ["exits", MODEL, WAV, "--layer", "1", WAV],
    ):
        with pytest.raises(SystemExit) as end:
            main(line)
        assert end.value.code == 2 and "unrecognized arguments: " in capsys.readouterr().err


def test_info(capsys):
    assert main(["info", MODEL]) == 0
    text = capsys.readouterr().out
    assert "6 layers of width 64" in text and "after-norm" in text
    main(["info", "--json", MODEL])
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["layers"], found["calibrations"]) == ("daisy", 6, {})


def test_error_is_one_line_and_status_1(tmp_path, capsys):
    (tmp_path / "x.pt").write_text("no model")
    assert main(["info", str(tmp_path / "x.pt")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("daisy info: error:")


def test_convert(tmp_path, capsys):
    assert main(["convert", MODEL, str(tmp_path / "a.safetensors")]) == 0
    assert main(["convert", str(tmp_path / "a.safetensors"), str(tmp_path / "b"), "--format", "transformers"]) == 0
    assert main(["convert", str(tmp_path / "b"), str(tmp_path / "c.pt")]) == 0
    first, last = load(MODEL), load(tmp_path / "c.pt")
    for name, value in first.encoder.state_dict().items():
        assert torch.equal(value, last.encoder.state_dict()[name])
    assert main(["convert", MODEL, str(tmp_path / "d")]) == 1
    assert "--format" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "c.pt"), str(tmp_path / "c.pt")]) == 1


def test_exits(tmp_path, capsys):
    entropies = daisy.load(MODEL).all_layers([audio.read(WAV)]).entropies[0]
    tau = (entropies[1] + min(entropies[0], 9)) / 2
    stop = next(k for k, value in enumerate(entropies, start=1) if value <= tau or k == 6)
    assert main(["exits", MODEL, WAV, "--threshold", str(tau)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:7]
    assert [float(line.split()[1]) for line in lines] == pytest.approx(entropies, abs=1e-3)
    assert [k for k, line in enumerate(lines, start=1) if "stops here" in line] == [stop]
    assert main(["exits", MODEL, WAV, "--threshold", str(tau), "--png", str(tmp_path / "e.png")]) == 0
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


def test_exits_by_the_signal_of_a_calibration(tmp_path, capsys):
    checkpoint = load(MODEL)
    means = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    checkpoint.calibrations = {"asr": Calibration("midrange", means, None, 0.65, {1.0: (10,) * 6}, signal="margin")}
    save(tmp_path / "m.safetensors", checkpoint, "safetensors")
    asked = {"rho": 1.0, "strategy": "min-max", "task": "asr"}
    (stop,) = daisy.load(tmp_path / "m.safetensors")([audio.read(WAV)], **asked).exit_layer
    line = ["exits", str(tmp_path / "m.safetensors"), WAV, *(f"--{name}={value}" for name, value in asked.items())]
    assert main([*line, "--png", str(tmp_path / "m.png")]) == 0
    text = capsys.readouterr().out
    assert "margin, the signal of this calibration" in text and "entropy" not in text
    assert [row.split()[0].strip("*") for row in text.splitlines() if "stops here" in row] == [str(stop)]
    assert main([*line, "--noise", "white"]) == 0 and "margin there" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "m.safetensors")]) == 0
    assert "asr (rho 1; margin)" in capsys.readouterr().out
    assert main(["exits", MODEL, WAV, "--threshold", "inf"]) == 1 and "--threshold is inf" in capsys.readouterr().err


def extraction_of(out: Path, *arguments: str) -> list[str]:
    return ["extract", MODEL, str(GOLDEN), "--out", str(out), "--shard-seconds", "3", *arguments]


def extract(out: Path, *arguments: str) -> int:
    return main(extraction_of(out, *arguments))


def test_extract(tmp_path, waves):
    assert extract(tmp_path / "f", "--threshold", "4.0") == 0
    model = daisy.load(MODEL)
    files = sorted(GOLDEN.glob("*.wav"))
    found = list(extraction.read_features(tmp_path / "f"))
    assert [Path(file) for file, _, _ in found] == files
    direct = model(waves, threshold=4.0)
    for (_, features, layer), states, k in zip(found, direct.features, direct.exit_layer, strict=True):
        assert layer == k and torch.allclose(features, states, atol=1e-5)
    assert len(list((tmp_path / "f").glob("shard-*"))) > 1
    with open(tmp_path / "f/exits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["exit_layer"]) for row in rows] == direct.exit_layer
    for row, entropies in zip(rows, direct.entropies, strict=True):
        for k, value in enumerate(entropies, start=1):
            assert (row[f"entropy_{k}"] == "") == np.isnan(value)


def test_shards_are_filled_to_the_bound():
    recordings = [extraction.Recording(Path(str(n)), 16_000) for n in range(5)]
    assert extraction.divide(recordings, 2.0) == [range(2), range(2, 4), range(4, 5)]
    assert extraction.divide(recordings, 0.5) == [range(n, n + 1) for n in range(5)]


KILLED = """
import os, signal, sys
import safetensors.torch
from daisy.cli.main import main

def half(tensors, file, *_):
    file.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

safetensors.torch.save_file = half
main(sys.argv[1:])
"""


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_extract_goes_on_where_it_stopped(tmp_path, monkeypatch):
    asked = ("--layer", "3", "--states", "last")
    assert extract(tmp_path / "whole", *asked) == 0
    write, calls = extraction._extract, iter(range(9))

    def interrupted(*arguments):
        if next(calls):
            signal.raise_signal(signal.SIGINT)
        return write(*arguments)

    monkeypatch.setattr(extraction, "_extract", interrupted)
    assert extract(tmp_path / "f", *asked) == 130
    monkeypatch.setattr(extraction, "_extract", write)
    first = tmp_path / "f/shard-00000.safetensors"
    before = first.stat().st_mtime_ns

    # Killed in the middle of the next shard's file, which leaves what was written of it.
    killed = ended([sys.executable, "-c", KILLED, *extraction_of(tmp_path / "f", *asked)])
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "f").glob(".shard-00001-*.safetensors"))) == 1
    (tmp_path / "f/.request-abcd_123.json").touch()

    assert extract(tmp_path / "f", *asked) == 0
    assert first.stat().st_mtime_ns == before
    assert bytes_of(tmp_path / "f") == bytes_of(tmp_path / "whole")


def test_two_extractions_into_one_folder(tmp_path, monkeypatch, capsys):
    def beside(*arguments):
        monkeypatch.setattr(extraction, "_extract", write)
        (tmp_path / "f/.shard-00000-abcd_123.safetensors").touch()  # what the first is writing
        assert ended([sys.executable, "-m", "daisy", *extraction_of(tmp_path / "f", "--layer", "3")]).returncode == 1
        assert (tmp_path / "f/.shard-00000-abcd_123.safetensors").exists()
        return write(*arguments)

    write = extraction._extract
    monkeypatch.setattr(extraction, "_extract", beside)
    assert extract(tmp_path / "f", "--layer", "3") == 0
    assert extract(tmp_path / "f", "--layer", "3") == 0, "the first has gone"
    assert not list((tmp_path / "f").glob(".*"))


def test_extract_without_windows(tmp_path):
    assert extract(tmp_path / "f", "--layer", "2", "--window", "inf") == 0
    assert extract(tmp_path / "g", "--layer", "2") == 0
    shards = [(tmp_path / name / "shard-00000.safetensors").read_bytes() for name in "fg"]
    assert shards[0] == shards[1]
    assert extract(tmp_path / "f", "--layer", "2", "--window", "inf") == 0, "and goes on"


def test_a_pipe_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "p.wav")
    shutil.copy(WAV, tmp_path / "a.wav")
    for given in (str(tmp_path / "p.wav"), f"@{tmp_path / 'p.wav'}"):
        assert main(["extract", MODEL, given, "--layer", "1", "--out", str(tmp_path / "f")]) == 1
        assert "a pipe or a device" in capsys.readouterr().err
    assert main(["exits", MODEL, str(tmp_path / "p.wav"), "--layer", "1"]) == 1
    assert main(["extract", MODEL, str(tmp_path), "--layer", "1", "--out", str(tmp_path / "g")]) == 0
    assert [Path(file).name for file, *_ in extraction.read_features(tmp_path / "g")] == ["a.wav"]


def test_extract_makes_a_damaged_shard_again(tmp_path):
    extract(tmp_path / "f", "--layer", "2")
    shard = tmp_path / "f/shard-00001.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:100])
    assert extract(tmp_path / "f", "--layer", "2") == 0
    assert shard.read_bytes() == content


def test_extract_notices_a_recording_that_was_replaced(tmp_path, capsys):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(16_000, np.float32), 16_000)
    asked = ["extract", MODEL, *(str(tmp_path / name) for name in ("a.wav", "b.wav")), "--layer", "1"]
    asked += ["--shard-seconds", "1", "--out", str(tmp_path / "f")]
    assert main(asked) == 0
    shards = sorted((tmp_path / "f").glob("shard-*"))
    first, second = (shard.read_bytes() for shard in shards)
    (tmp_path / "a.wav").touch()  # a time tells nothing
    status = (tmp_path / "b.wav").stat()
    soundfile.write(tmp_path / "b.wav", np.full(16_000, 0.1, np.float32), 16_000)
    os.utime(tmp_path / "b.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    capsys.readouterr()
    assert main(asked) == 0
    assert "shard-00001.safetensors: its recordings were replaced" in capsys.readouterr().err
    assert shards[0].read_bytes() == first and shards[1].read_bytes() != second
    (_, silent, _), (_, loud, _) = extraction.read_features(tmp_path / "f")
    assert not torch.equal(silent, loud)


def test_extract_refuses_a_folder_of_another_request(tmp_path, capsys):
    extract(tmp_path / "f", "--layer", "2")
    assert extract(tmp_path / "f", "--layer", "3") == 1
    assert "another stopping" in capsys.readouterr().err
    (tmp_path / "g").mkdir()
    (tmp_path / "g/photo.jpg").touch()
    assert extract(tmp_path / "g", "--layer", "3") == 1


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "message"),
    [
        (16_000, 16_000, 2, "2 channels"),
        (8_000, 8_000, 1, "8000 Hz"),
        (0, 16_000, 1, "is empty"),
        (200, 16_000, 1, "too short"),
    ],
)
def test_extract_refuses_bad_recordings_before_it_starts(tmp_path, capsys, samples, rate, channels, message):
    soundfile.write(tmp_path / "bad.wav", np.zeros((samples, channels), np.float32), rate)
    assert main(["extract", MODEL, WAV, str(tmp_path / "bad.wav"), "--out", str(tmp_path / "f")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_extract_takes_a_list(tmp_path):
    (tmp_path / "list.txt").write_text(f"{WAV}\n{GOLDEN / 'conf-full.wav'}\n")
    out = tmp_path / "f"
    assert main(["extract", MODEL, f"@{tmp_path / 'list.txt'}", "--layer", "1", "--out", str(out)]) == 0
    content = safetensors.torch.load_file(out / "shard-00000.safetensors")
    assert sorted(content) == ["0", "1"]
    assert main(["extract", MODEL, WAV, WAV, "--layer", "1", "--out", str(tmp_path / "g")]) == 1


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert all(use in text for use in doctor.USES) and torch.__version__ in text
    assert re.search(r"bfloat16: [\d.]+ times as fast .* (pays|does not pay) on it\n", text)
    assert doctor.missing({"packages": ("torch", "no-such-package"), "programs": ("no-such-program",)}) == [
        "the Python package no-such-package",
        "the program no-such-program",
    ]


def test_doctor_names_the_variable_that_hides_gpus(capsys, monkeypatch):
    monkeypatch.setattr(
        doctor, "machine", lambda: dict.fromkeys(("python", "system", "cores", "memory_gib"), 1) | FACTS
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    main(["doctor"])
    assert "GPU: none (CUDA_VISIBLE_DEVICES=7" in capsys.readouterr().out


def test_a_plan_blames_what_is_wrong(capsys, tmp_path):
    snakefile, broken = tmp_path / "Snakefile", tmp_path / "my.yaml"
    snakefile.touch()
    broken.write_text("run: x\nrun: y\n")
    for line, told in (("--gpus -1", "--gpus -1"), ("--cores 0", "--cores 0"), (f"--configfile {broken}", "my.yaml:2")):
        assert main(["plan", "--snakefile", str(snakefile), *line.split()]) == 1
        assert told in capsys.readouterr().err


def test_installed_command():
    command = Path(sys.executable).parent / "daisy"
    outcome = finished([command, "--version"])
    assert outcome.stdout.strip() == f"daisy {daisy.__version__}"


def test_interrupted_pipe_is_no_traceback():
    outcome = ended(["sh", "-c", f"{sys.executable} -m daisy.cli.main info {MODEL} | head -c 1"])
    assert "Traceback" not in outcome.stderr
