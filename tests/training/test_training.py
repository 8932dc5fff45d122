"""The loop of all trainings: parts of a batch, several processes, notices, curves, and what fails in plain words."""

from __future__ import annotations

import csv
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from project import GOLDEN
from runners import Outcome, await_state, finished, stage
from warm import warmed

from daisy.common.compute import memory
from daisy.common.progress import Progress
from daisy.errors import DaisyError
from daisy.hubert.encoder import Hubert
from daisy.targets import dump
from daisy.training.curves import Curves
from daisy.training.notice import RESUBMIT
from daisy.training.workers import Workers

LAUNCHER = ("-m", "daisy.training.launch", "--workers", "2", "--device", "cpu")
BRANCHES = {"position": "after-norm", "steps": 6, "batch_seconds": 8, "learning_rate": 0.01, "seed": 7, "save_every": 2}


def branches(speech: Path, name: str, settings: dict, *launcher: str) -> list[str]:
    out = speech / name
    options = {
        "checkpoint": GOLDEN / "daisy_tiny_after_norm.pt",
        "manifest": speech / "train.tsv",
        "labels": speech / "train.km",
        "dictionary": speech / "dict.km.txt",
        "state": out / "state",
        "out": out / "daisy.pt",
        "history": out / "history.csv",
        "curves": out / "curves",
    }
    return stage("branches.train", settings, *launcher, **options)


def finish(command: list[str]) -> Outcome:
    return finished(command, environment={"OMP_NUM_THREADS": "1"})


def history(folder: Path) -> list[dict[str, float]]:
    with open(folder / "history.csv", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "daisy.pt", weights_only=True)["model_weight"]


def assert_alike(one: Path, other: Path) -> None:
    for row, same in zip(history(one), history(other), strict=True):
        assert row == pytest.approx(same, rel=1e-4)
    first, second = weights(one), weights(other)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-4)


def test_parts_and_processes_see_the_same_batches(speech):
    """One process, the same in three parts, and two processes: the same training up to rounding."""
    finish(branches(speech, "whole", BRANCHES))
    finish(branches(speech, "parts", BRANCHES | {"accumulate": 3}))
    finish(branches(speech, "two", BRANCHES | {"accumulate": 2}, *LAUNCHER))
    assert len(history(speech / "whole")) == 6
    assert_alike(speech / "whole", speech / "parts")
    assert_alike(speech / "whole", speech / "two")


def test_two_processes_train_a_downstream_model(speech):
    """Speaker identification, which draws no random numbers."""
    extracted = {"view": {"states": "after-norm", "pooled": True}, "storage": "float32", "batch_seconds": 9.0}
    files = {"manifest": speech / "train.tsv", "out": speech / "states.npy"}
    finish(stage("features.states", extracted, checkpoint=GOLDEN / "daisy_tiny_after_norm.pt", **files))
    settings = {
        "task": "sid",
        "options": {"projection": 8},
        "method": {"kind": "layer", "layer": 4},
        "states": "after-norm",
        "fusion": "dynamic",
        "steps": 9,
    }
    settings |= {"batch_size": 3, "optimizer": "adam", "learning_rate": 0.01, "schedule": "linear", "clip": 1.0}
    settings |= {"dev_every": 3, "seed": 5, "save_every": 4}
    found = []
    # Three utterances in four parts: one process has nothing to do in half of its turns.
    for name, launcher, accumulate in (("one", (), 1), ("two", LAUNCHER, 2)):
        out = speech / name
        options = {f"{part}-manifest": speech / "train.tsv" for part in ("train", "dev")}
        options |= {f"{part}-states": speech / "states.npy" for part in ("train", "dev")}
        options |= {"state": out / "state", "out": out / "model.safetensors", "exits": out / "exits.json"}
        options["history"] = out / "history.csv"
        finish(stage("downstream.train", settings | {"accumulate": accumulate}, *launcher, **options))
        found.append(safetensors.torch.load_file(out / "model.safetensors"))
        assert [row["step"] for row in history(out)] == [3, 6, 9] and not (out / "state").exists()
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, rtol=1e-3, atol=1e-4)
    assert [row["loss"] for row in history(speech / "one")] == pytest.approx(
        [row["loss"] for row in history(speech / "two")], rel=1e-4
    )


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_every_utterance_is_in_one_part(size, accumulate):
    parts = [part for rank in range(size) for part in Workers(rank, size).share(list(range(7)), accumulate)]
    assert sorted(index for part in parts for index in part) == list(range(7)) and all(parts)


def test_the_sum_of_parts_is_the_gradient_of_the_whole():
    torch.manual_seed(0)
    weight, data = torch.randn(5, requires_grad=True), torch.randn(9, 5)

    def loss(part: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        value = (data[part] @ weight).square()
        return value.mean(), value.detach().mean()[None]

    found = []
    for accumulate in (1, 2, 4, 20):
        weight.grad = None
        parts = [(len(part) / 9, part) for part in Workers().share(range(9), accumulate)]
        value, mean = Workers().reading(Workers().backward(parts, loss, [weight]))()
        assert value == pytest.approx(mean)
        found.append((value, weight.grad.clone()))
    for value, gradient in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-5)
        torch.testing.assert_close(gradient, found[0][1])


def start_until_saved(command: list[str], state: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(warmed(command), stderr=subprocess.PIPE, text=True)
    await_state(process, state)
    return process


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGUSR1])
def test_a_notice_saves_and_asks_to_be_run_again(speech, kind):
    settings = BRANCHES | {"steps": 90, "save_every": 3}
    finish(branches(speech, "one", settings))
    command = branches(speech, "two", settings)
    process = start_until_saved(command, speech / "two/state")
    process.send_signal(kind)
    _, said = process.communicate()
    assert process.returncode == RESUBMIT, said
    step = int(said.split("saved at step ")[1].split(",")[0])
    assert torch.load(speech / "two/state/state.pt", weights_only=True)["step"] == step
    assert f"resumed at step {step}" in finish(command).stderr
    one, two = weights(speech / "one"), weights(speech / "two")
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_rule_outlives_its_notice(speech):
    """As a job of a cluster: the signal goes to every process of the group, the one that writes the log too."""
    settings = BRANCHES | {"steps": 90, "save_every": 3}
    log = speech / "log"
    line = shlex.join(branches(speech, "three", settings))
    shell = f"set -euo pipefail; {line} 2>&1 | (trap '' TERM USR1; exec tee {log})"
    process = subprocess.Popen(["bash", "-c", shell], start_new_session=True, stdout=subprocess.DEVNULL)
    await_state(process, speech / "three/state")
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    deadline = time.monotonic() + 60
    while "saved at step" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "told to end; saved at step" in log.read_text()


def test_curves(speech):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    finish(branches(speech, "curves", BRANCHES))
    events = EventAccumulator(str(speech / "curves/curves"))
    events.Reload()
    rows = history(speech / "curves")
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(int(row["step"]), pytest.approx(row["loss"])) for row in rows]
    assert "accuracy_6" in events.Tags()["scalars"]


def test_curves_of_a_resumed_training_hold_every_step_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for done, last, value in ((0, 5, 1.0), (3, 6, 2.0)):
        curves = Curves(tmp_path, done)
        for step in range(done + 1, last + 1):
            curves.add(step, {"loss": value})
        curves.close()
        time.sleep(1.1)  # files are told apart by the second
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 2.0)]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_too_little_memory_names_the_setting(error):
    match = r"out of memory at step 7.*Lower tasks.ss.batch_size; what was saved"
    with pytest.raises(DaisyError, match=match), memory("step 7", "tasks.ss.batch_size"):
        raise error


def test_a_stage_that_runs_out_of_memory_names_its_setting(speech, monkeypatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(Hubert, "before_layers", full)
    arguments = ["--manifest", str(speech / "train.tsv"), "--checkpoint", str(GOLDEN / "daisy_tiny_after_norm.pt")]
    with pytest.raises(DaisyError, match=r"agent-pass .*Lower upstream.batch_seconds"):
        dump.main(["--settings", '{"layer": 2}', *arguments, "--out", str(speech / "out")])


def test_a_resumed_training_is_timed_by_its_own_steps(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("daisy.common.progress.time.monotonic", lambda: now[0])
    progress = Progress("branches-0123456789ab", 100, "steps")
    progress.resume_at(80)
    for seconds, note in ((4.0, ""), (6.0, "loss 1.0"), (20.0, "")):
        now[0] = 100.0 + seconds
        progress.add(5, note)
    progress.add(5)
    assert capsys.readouterr().err.splitlines() == [
        "branches: 90/100 steps (90%), 6 s left, loss 1.0",
        "branches: 95/100 steps (95%), 7 s left",
        "branches: 100/100 steps (100%), done in 20 s",
    ]


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), memory("step 7", "tasks.ss.batch_size"):
        raise RuntimeError("shapes do not match")
