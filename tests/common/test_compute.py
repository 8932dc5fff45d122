"""Devices and precisions: nothing is left behind on another device, and bfloat16 gives nearly the same."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
import torch
from project import GOLDEN
from runners import arguments

from daisy.branches import train as train_branches
from daisy.common.compute import Compute, allow_tf32, deterministic_gpu
from daisy.downstream import train as downstream
from daisy.downstream.model import Downstream
from daisy.downstream.task_exits import TaskExits
from daisy.errors import DaisyError
from daisy.features import states as feature_states
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import load
from daisy.hubert.every_layer import every_layer
from daisy.hubert.packing import Packing
from daisy.targets import dump, label
from daisy.targets.kmeans import cluster
from daisy.tasks.loading import task_class
from daisy.tasks.masking import Sources

MODEL = GOLDEN / "daisy_tiny_after_norm.pt"
LSTM = {"hidden": 8, "layers": 2, "dropout": 0.1}
OPTIONS = {
    "sid": {"projection": 8},
    "asr": {
        "projection": 8,
        "stride": 2,
        "specaugment": {"time_masks": 1, "time_frames": 5, "time_share": 0.5, "feature_masks": 1, "feature_dims": 4},
        **LSTM,
    },
    "se": LSTM,
    "ss": LSTM,
}


def examples_of(task: str) -> list[object]:
    if task == "sid":
        return [0, 1]
    if task == "asr":
        return ["ab", "ba"]
    sources = 1 if task == "se" else 2
    return [Sources(torch.randn(count), torch.randn(sources, count)) for count in (4000, 3300)]


@pytest.mark.parametrize("task", ["sid", "se", "ss", "asr"])
def test_heads_and_losses_follow_the_weights(task):
    """On torch's device without data, where an operation with a tensor of the CPU is an error."""
    model = Downstream(task_class(task)(OPTIONS[task], ["a", "b"]), 4, 16, "dynamic").to("meta")
    frames = torch.tensor([12, 10])
    output = model(torch.empty(2, 12, 4, 16, device="meta"), torch.tensor([3, 2], device="meta"), frames)
    assert output.device.type == "meta"
    if task != "asr":  # CTC has no such kernel
        loss = model.task.loss(output, frames, examples_of(task))
        loss.backward()
        assert loss.device.type == "meta" and all(value.grad is not None for value in model.head.parameters())


@pytest.mark.parametrize("task", ["sid", "asr"])
def test_a_task_s_own_exits_follow_the_weights(task):
    model = TaskExits(task_class(task)(OPTIONS[task], ["a", "b"]), 3, 16).to("meta")
    frames = torch.tensor([12, 10])
    outputs = model.every_layer(torch.empty(2, 12, 4, 16, device="meta"), frames)
    assert outputs.device.type == model.task.uncertainty(outputs[0], frames).device.type == "meta"
    entropy = model.entropy(2, torch.empty(22, 16, device="meta"), Packing([12, 10], torch.device("meta")))
    assert entropy.device.type == "meta" and entropy.shape == (2,)


def test_the_encoder_follows_its_weights():
    encoder = load(MODEL).encoder.to("meta")
    frames = encoder.front_end([torch.empty(count, device="meta") for count in (9000, 6000)])
    x = encoder.before_layers(frames)
    for k in range(1, 7):
        x, inner = encoder.layer(k, x, frames.packing)
        assert x.device.type == inner.device.type == "meta"


def tf32() -> set[tuple[str, bool]]:
    """What torch may round on a GPU, asked in both of its ways, which contradict one another if one was forgotten."""
    kinds = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    old = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == ("high" if old[0] else "highest")
    return {*((kind.fp32_precision, old[0]) for kind in kinds), *((kind.fp32_precision, old[1]) for kind in kinds)}


@pytest.fixture
def pretended_gpu(monkeypatch):
    """torch says that there is one; what was set for it is as before afterwards."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a pretended GPU")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.backends.cudnn.allow_tf32, torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = before[1]
    allow_tf32(False)
    torch.backends.cudnn.allow_tf32 = before[0]
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_only_tf32_rounds_to_tf32(pretended_gpu, precision, recwarn):
    allow_tf32(precision != "tf32")
    Compute("cuda", precision).place()
    assert tf32() == {("tf32", True) if precision == "tf32" else ("ieee", False)}
    with torch.backends.cudnn.flags(enabled=True):  # it asks in the old way, and torch refuses if the ways differ
        pass
    assert not recwarn.list


def test_a_cpu_changes_nothing_in_the_process(pretended_gpu):
    allow_tf32(True)
    assert Compute("cpu", "float32", deterministic=True).place().type == "cpu"
    assert tf32() == {("tf32", True)} and not torch.are_deterministic_algorithms_enabled()


def test_the_same_numbers_every_time(pretended_gpu):
    Compute("cuda").place()
    assert not torch.are_deterministic_algorithms_enabled() and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    Compute("cuda", deterministic=True).place()
    assert torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and not torch.backends.cudnn.benchmark
    assert not deterministic_gpu(torch.zeros(1))  # it is on the CPU


def test_what_changes_nothing_is_no_other_setting():
    assert Compute("cpu", "tf32", True).effective() == Compute("cpu", "float32")
    assert Compute("cpu", "bfloat16", True).effective() == Compute("cpu", "bfloat16")
    for device in ("auto", "cuda"):
        assert Compute(device, "tf32", True).effective() == Compute(device, "tf32", True)
    assert {kind: Compute(precision=kind).dtype for kind in ("float32", "tf32", "bfloat16")} == {
        "float32": torch.float32,
        "tf32": torch.float32,
        "bfloat16": torch.bfloat16,
    }


def test_tf32_on_a_cpu_is_float32(checkpoint, waves):
    with Compute("cpu", "tf32").autocast(), torch.no_grad():
        rounded = checkpoint.encoder.output(waves[:2], 3).split()
    with torch.no_grad():
        assert all(map(torch.equal, rounded, checkpoint.encoder.output(waves[:2], 3).split()))


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Compute("auto").place().type == Compute("cpu").place().type == "cpu"
    with pytest.raises(DaisyError, match=r"compute.device is cuda, but torch finds no GPU. Set it to auto"):
        Compute("cuda").place()


def test_a_gpu_that_is_there(pretended_gpu):
    assert Compute("auto").place().type == Compute("cuda").place().type == "cuda"
    assert Compute("cpu").place().type == "cpu"


def run(stage, settings: dict, precision: str, **options: object) -> None:
    chosen = {**settings, "compute": {"device": "cpu", "precision": precision}}
    stage.main(arguments(chosen, **options))


def test_targets_and_branches_in_bfloat16(spoken):
    manifest = spoken / "train.tsv"
    frames, labels, losses = {}, {}, {}
    for precision in ("float32", "bfloat16"):
        out = spoken / precision
        run(dump, {"layer": 4}, precision, manifest=manifest, checkpoint=MODEL, out=out)
        frames[precision] = np.load(out / "train_0_1.npy")
        assert frames[precision].dtype == np.float32
        if precision == "float32":
            centroids, _ = cluster(frames[precision], 12, seed=0)
            np.savez(spoken / "kmeans.npz", centroids=centroids)
        settings = {"kind": "kmeans", "layer": 4}
        given = {"manifest": manifest, "checkpoint": MODEL}
        run(label, settings, precision, **given, centroids=spoken / "kmeans.npz", out=out / "train.km")
        labels[precision] = np.array((out / "train.km").read_text().split(), dtype=int)
        settings = {"position": "after-norm", "steps": 5, "batch_seconds": 9, "learning_rate": 0.01, "seed": 1}
        (spoken / "dict").write_text("".join(f"{number} 1\n" for number in range(12)))
        files = {"labels": spoken / "float32/train.km", "dictionary": spoken / "dict", "state": out / "state"}
        results = {"out": out / "daisy.pt", "history": out / "history.csv"}
        run(train_branches, {**settings, "save_every": 9}, precision, **given, **files, **results)
        with open(out / "history.csv", newline="") as file:
            losses[precision] = [float(row["loss"]) for row in csv.DictReader(file)]
        assert load(out / "daisy.pt").encoder.layer_norm.weight.dtype == torch.float32
    scale = np.abs(frames["float32"]).mean()
    assert 0 < np.abs(frames["float32"] - frames["bfloat16"]).mean() < 0.05 * scale
    assert (labels["float32"] == labels["bfloat16"]).mean() > 0.9
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.parametrize("task", ["sid", "asr"])
def test_downstream_in_bfloat16(spoken, task):
    settings = {"view": {"states": "after-norm"}, "storage": "float32", "batch_seconds": 9.0}
    files = {"checkpoint": spoken / "daisy.pt", "manifest": spoken / "train.tsv"}
    run(feature_states, settings, "float32", **files, out=spoken / "states.npy")
    shared = {"task": task, "options": OPTIONS[task] | ({"dropout": 0.0} if task == "asr" else {})}
    shared |= {"method": {"kind": "layer", "layer": 3}, "states": "after-norm"}
    if task == "asr":
        shared["options"]["specaugment"] = {**OPTIONS["asr"]["specaugment"], "time_masks": 0, "feature_masks": 0}
    shared |= {"fusion": "dynamic", "steps": 5, "batch_size": 3, "optimizer": "adam", "learning_rate": 0.01}
    shared |= {"schedule": "constant", "clip": 1.0, "dev_every": 5, "seed": 1, "save_every": 9}
    losses = []
    for precision in ("float32", "bfloat16"):
        out = spoken / precision
        given = {
            f"{part}_{what}": path
            for part in ("train", "dev")
            for what, path in (("manifest", spoken / "train.tsv"), ("states", spoken / "states.npy"))
        }
        results = {"out": out / "model.safetensors", "exits": out / "exits.json", "history": out / "history.csv"}
        run(downstream, shared, precision, **given, state=out / "state", **results)
        with open(out / "history.csv", newline="") as file:
            losses += [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[1] == pytest.approx(losses[0], rel=0.03) and losses[1] != losses[0]


def test_entropies_are_computed_in_float32(checkpoint, waves):
    """Whatever the layers are computed in."""
    branches = checkpoint.branches
    assert isinstance(branches, Branches)
    exact = every_layer(checkpoint.encoder, waves[:2], "after-norm", branches)
    with Compute("cpu", "bfloat16").autocast():
        rough = every_layer(checkpoint.encoder, waves[:2], "after-norm", branches)
    for one, other in zip(exact, rough, strict=True):
        assert other.entropies == pytest.approx(one.entropies, rel=0.1) and other.entropies != one.entropies
