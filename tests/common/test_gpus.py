"""Several GPUs: each job holds its own, whatever starts at once and however it ends. `nvidia-smi` is a stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from project import ROOT

from daisy.common import gpus
from daisy.common.gpus import HELD, SHARED, VISIBLE
from daisy.errors import DaisyError

JOB = """
import os, sys
from daisy.common import gpus
gpus.take(int(sys.argv[1]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four cards of this test alone, the last divided into two; their UUIDs, in order."""
    number = zlib.crc32(f"{os.getpid()} {tmp_path}".encode())
    uuids = [f"GPU-{place}{number:08x}-0000" for place in range(4)] + [f"MIG-{place}{number:08x}-0" for place in (4, 5)]
    lines = [f"GPU {place}: NVIDIA H100 (UUID: {uuid})" for place, uuid in enumerate(uuids[:4])]
    lines += [f"  MIG 1g.10gb     Device  {place}: (UUID: {uuid})" for place, uuid in enumerate(uuids[4:])]
    script = tmp_path / "bin/nvidia-smi"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    for name in (VISIBLE, HELD, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return uuids


@pytest.fixture
def start(machine: list[str]) -> Iterator[Start]:
    """Starts a job that takes GPUs and holds them until its end; all are ended at last."""
    started = []

    def job(count: int = 1, **environment: str) -> subprocess.Popen[str]:
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", JOB, str(count)]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, text=True, **streams)
        started.append(process)
        return process

    yield job
    for process in started:
        process.kill()
        process.communicate()


def given(process: subprocess.Popen[str]) -> str:
    """What a job was given, once it has it."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a job's log."""
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.parametrize(
    ("set_to", "places"),
    [
        (None, [0, 1, 2, 4, 5]),
        ("2,0", [2, 0]),
        ("1, -1, 0", [1]),
        ("7", []),
        ("", []),
        ("NoDevFiles", []),
        ("3", [4]),
        ("{1},{5}", [1, 5]),
        ("{2:.9}", [2]),
        ("GPU-none", []),
    ],
)
def test_what_is_visible(machine, monkeypatch, set_to, places):
    """Numbers, UUIDs and their beginnings, parts of a card in place of the card, and all that CUDA leaves out."""
    if set_to is not None:
        monkeypatch.setenv(VISIBLE, set_to.format(*machine))
    assert list(gpus.visible().values()) == [machine[place] for place in places]


def test_without_nvidia_smi(machine, monkeypatch, tmp_path):
    """Cards are counted by their files, and are their numbers; UUIDs that the site set are taken at their word."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    gpus.take()
    assert not gpus.visible() and VISIBLE not in os.environ and HELD not in os.environ
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus.visible() == {"0": "0", "1": "1"}
    monkeypatch.setenv(VISIBLE, f"1,{machine[2]},2,0")
    assert gpus.visible() == {"1": "1", machine[2]: machine[2]}


def test_jobs_that_start_at_once(machine, start):
    """Each has its own GPU; who comes too late waits and says so, and gets that of one that was killed."""
    jobs = [start(**{VISIBLE: "0,1,2"}) for _ in range(3)]
    by_name = {given(job): job for job in jobs}
    assert sorted(by_name) == ["0", "1", "2"]
    assert {said(job) for job in jobs} == {f"GPU: on {uuid}, of 3\n" for uuid in machine[:3]}
    late = start(**{VISIBLE: f"2,{machine[0]}"})
    assert said(late).startswith("GPU: waiting for 1 of 2, since other jobs hold them; with `--resources gpu=2`")
    elsewhere = start(SLURM_JOB_ID="7", **{VISIBLE: "2"})
    assert given(elsewhere) == "2"  # Slurm knows what it gave away
    by_name["2"].kill()
    assert given(late) == "2"


def test_all_or_none(machine, start):
    """Who wants several holds none while too few are free."""
    one = start(**{VISIBLE: "0"})
    assert given(one) == "0"
    both = start(2, **{VISIBLE: "0,1"})
    assert "waiting for 2 of 2" in said(both)
    other = start(**{VISIBLE: "1"})
    assert given(other) == "1"
    for job in (one, other):
        job.kill()
    assert given(both) == "0,1"


def test_more_than_there_are(machine, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    with pytest.raises(DaisyError, match=r"3 .* 2 can be seen \(CUDA_VISIBLE_DEVICES is 0,1\).* workers to 2"):
        gpus.take(3)


def test_what_a_holder_starts_keeps_to_its_gpus(machine, monkeypatch, start):
    """Without holding them again; of several processes each sees one; and who wants to share says so."""
    monkeypatch.setenv(VISIBLE, "0,1")
    assert given(start(**{HELD: "0,1"})) == given(start(**{HELD: SHARED})) == "0,1"
    monkeypatch.setenv(HELD, "0,1")
    gpus.part(1)
    assert os.environ[VISIBLE] == os.environ[HELD] == "1"
    monkeypatch.delenv(HELD)
    monkeypatch.setenv(VISIBLE, "2,0")
    gpus.part(1)
    assert os.environ[VISIBLE] == "0"


def test_a_gpu_is_called_as_torch_calls_it(machine, monkeypatch):
    assert gpus.first_name() == "NVIDIA H100"
    for given, name in (
        ("3", "NVIDIA H100 MIG 1g.10gb"),
        (machine[5], "NVIDIA H100 MIG 1g.10gb"),
        ("", None),
        ("-1", None),
    ):
        monkeypatch.setenv(VISIBLE, given)
        assert gpus.first_name() == name
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(gpus, "DEVICES", ROOT)
    assert gpus.first_name() is None
