"""Exported heads against the library's own models, for recordings that stop anywhere."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from project import GOLDEN
from torch import nn

import daisy
from daisy.downstream.model import Downstream, save_downstream
from daisy.errors import DaisyError
from daisy.features.seen import seen
from daisy.library.heads import description, export_head, of_run, read
from daisy.tasks.loading import task_class

OPTIONS = {
    "asr": {"projection": 12, "hidden": 8, "layers": 1, "dropout": 0.1, "stride": 2},
    "sid": {"projection": 16, "normalise": "frames"},
    "se": {"hidden": 4, "layers": 1, "dropout": 0.0},
}
LAYERS, DIM = 4, 16


def drawn(name, fusion="dynamic", **options):
    """A random model of a task, whose layers weigh unlike."""
    torch.manual_seed(7)
    model = Downstream(task_class(name)({**OPTIONS[name], **options}, list(" abcdef")), LAYERS, DIM, fusion)
    nn.init.normal_(model.fusion.scalars)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "fusion", "options"),
    [
        ("asr", "dynamic", {}),
        ("asr", "dynamic-s", {"layers": 2, "stride": 1, "end_marks": True}),
        ("asr", "dynamic", {"layers": 0, "stride": 3}),
        ("asr", "dynamic", {"network": "tdnn", "layers": 3}),
        ("sid", "dynamic", {}),
        ("sid", "dynamic-s", {"normalise": "mean"}),
    ],
)
def test_outputs_are_the_librarys(tmp_path, name, fusion, options):
    model = drawn(name, fusion, **options)
    export_head(model, tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    for exit_layer, frames in ((1, 30), (4, 31), (3, 32), (2, 1), (4, 2)):
        states = torch.randn(exit_layer + 1, frames, DIM)
        viewed = seen(model.view, states)
        expected = model(viewed[None], torch.tensor([exit_layer]), torch.tensor([len(viewed)]))
        (found,) = session.run(None, {"states": states.numpy()})
        assert found.shape == expected.shape
        assert np.abs(found - expected.detach().numpy()).max() < 1e-5


def test_labels():
    assert description(drawn("asr", end_marks=True))["labels"] == ["", *" abcdef", ""]
    assert description(drawn("sid")) == {"labels": list(" abcdef"), "ctc": False, "trimmed": False}


def test_models_that_do_not_fit(tmp_path):
    checkpoint = daisy.load(GOLDEN / "daisy_tiny_after_norm.pt").checkpoint
    config = checkpoint.encoder.config
    shape = {"layers": config.layers, "dim": config.dim}
    for name, given in (("one", shape), ("other", {**shape, "dim": 8})):
        model = Downstream(task_class("sid")(OPTIONS["sid"], ["a", "b"]), given["layers"], given["dim"], "dynamic")
        save_downstream(tmp_path / name, model)
    save_downstream(tmp_path / "se", Downstream(task_class("se")(OPTIONS["se"], []), *shape.values(), "dynamic"))
    assert list(read([tmp_path / "one"], checkpoint)) == ["sid"]
    with pytest.raises(DaisyError, match="a second model of sid"):
        read([tmp_path / "one", tmp_path / "one"], checkpoint)
    with pytest.raises(DaisyError, match="layers of width 8, after-norm, and the checkpoint has"):
        read([tmp_path / "other"], checkpoint)
    with pytest.raises(DaisyError, match="a head of se cannot be exported"):
        read([tmp_path / "se"], checkpoint)


def test_of_a_run_the_head_that_stops_earliest(tmp_path):
    assert of_run(tmp_path) == {}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"seeds": [11, 1]}))
    assert of_run(tmp_path) == {}
    for task, seed, method in (("asr", 11, "daisy-rho0.7"), ("asr", 11, "daisy-rho1"), ("sid", 1, "daisy-rho1")):
        folder = tmp_path / f"downstream/{task}/seed{seed}/{method}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
    assert of_run(tmp_path) == {"asr": tmp_path / "downstream/asr/seed11/daisy-rho1/model.safetensors"}
