"""A training that is killed goes on where it was, and ends with the same bits."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import safetensors.torch
import torch
from project import GOLDEN
from runners import await_state, finished, stage


def kill_once_saved(arguments: list[str], state: Path) -> None:
    """Start a training, and kill it at a random moment after its first saved state."""
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    await_state(process, state)
    time.sleep(random.uniform(0, 0.15))
    process.kill()
    assert process.wait() == -9, "the training ended before it could be killed"


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_branches_survive_a_kill(speech):
    settings = {
        "position": "after-norm",
        "steps": 120,
        "batch_seconds": 4,
        "learning_rate": 0.01,
        "seed": 7,
        "save_every": 3,
    }
    inputs = {
        "checkpoint": GOLDEN / "daisy_tiny_after_norm.pt",
        "manifest": speech / "train.tsv",
        "labels": speech / "train.km",
        "dictionary": speech / "dict.km.txt",
    }

    def outputs(name: str) -> dict[str, Path]:
        folder = speech / name
        return {"state": folder / "state", "out": folder / "daisy.pt", "history": folder / "history.csv"}

    undisturbed = stage("branches.train", settings, **inputs, **outputs("one"))
    finished(undisturbed)
    disturbed = stage("branches.train", settings, **inputs, **outputs("two"))
    for _ in range(2):
        kill_once_saved(disturbed, speech / "two" / "state")
        assert not (speech / "two" / "daisy.pt").exists()
    assert "resumed at step" in finished(disturbed).stderr
    one, two = (torch.load(speech / name / "daisy.pt", weights_only=True) for name in ("one", "two"))
    assert equal(one["model_weight"], two["model_weight"])
    assert (speech / "one/history.csv").read_text() == (speech / "two/history.csv").read_text()
    assert not (speech / "two/state").exists()


def test_downstream_survives_a_kill(speech):
    """ASR, because its dropout and SpecAugment draw random numbers all the time."""
    for split in ("train", "dev"):
        extract = stage(
            "features.states",
            {"view": {"states": "after-norm"}, "storage": "float16", "batch_seconds": 10},
            checkpoint=GOLDEN / "daisy_tiny_after_norm.pt",
            manifest=speech / "train.tsv",
            out=speech / split / "states.npy",
        )
        finished(extract)
    mask = {"time_masks": 1, "time_frames": 10, "time_share": 0.2, "feature_masks": 1, "feature_dims": 8}
    settings = {
        "task": "asr",
        "options": {"projection": 16, "hidden": 16, "layers": 2, "dropout": 0.3, "stride": 2, "specaugment": mask},
        "method": {"kind": "layer", "layer": 4},
        "states": "after-norm",
        "fusion": "dynamic",
        "steps": 60,
        "batch_size": 2,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "linear",
        "clip": 1.0,
        "dev_every": 7,
        "seed": 3,
        "save_every": 4,
    }
    inputs = {
        "train_manifest": speech / "train.tsv",
        "dev_manifest": speech / "train.tsv",
        "train_states": speech / "train/states.npy",
        "dev_states": speech / "dev/states.npy",
    }

    def outputs(name: str) -> dict[str, Path]:
        folder = speech / name
        return {
            "state": folder / "state",
            "out": folder / "model.safetensors",
            "exits": folder / "exits.json",
            "history": folder / "history.csv",
        }

    finished(stage("downstream.train", settings, **inputs, **outputs("one")))
    disturbed = stage("downstream.train", settings, **inputs, **outputs("two"))
    kill_once_saved(disturbed, speech / "two" / "state")
    assert "resumed at step" in finished(disturbed).stderr
    one, two = (safetensors.torch.load_file(speech / name / "model.safetensors") for name in ("one", "two"))
    assert equal(one, two)
    assert (speech / "one/history.csv").read_text() == (speech / "two/history.csv").read_text()
    changed = {**settings, "seed": 4}
    finished(stage("downstream.train", changed, **inputs, **outputs("three")))
    three = safetensors.torch.load_file(speech / "three" / "model.safetensors")
    assert not equal(one, three), "another seed must give another model"
