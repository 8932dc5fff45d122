"""Exported ONNX segments against torch on the golden recordings."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from models import drawn, settings_of
from runners import ended

import daisy
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.config import HubertConfig
from daisy.hubert.packing import Packing
from daisy.hubert.signals import SignalJudge
from daisy.library.onnx_export import _branch, _segment, export, quantise, signal_in
from daisy.library.onnx_runtime import OnnxDaisy


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A calibrated model, and its exports in float32 and int8."""
    from conftest import GOLDEN

    model = daisy.load(GOLDEN / "daisy_tiny_after_norm.pt")
    calibration = Calibration("midrange", (4.3, 4.2, 4.1, 4.0, 3.9, 3.8), None, 0.2, {1.0: (1, 1, 3, 3, 1, 1)})
    model.checkpoint.calibrations = {"asr": calibration}
    folder = tmp_path_factory.mktemp("onnx")
    export(model.checkpoint, folder / "float")
    shutil.copytree(folder / "float", folder / "int8")
    for file in [*(folder / "int8").glob("layer-*.onnx"), *(folder / "int8").glob("branch-*.onnx")]:
        quantise(file)
    return model, folder


def test_features_and_exits_agree(exported, waves):
    model, folder = exported
    runner = OnnxDaisy(folder / "float", threads=1)
    entropies = torch.tensor(model.all_layers(waves).entropies).flatten().sort().values
    # In the middle of a gap, where rounding decides nothing.
    gaps = (entropies[1:] - entropies[:-1]).topk(6).indices.tolist()
    requests = [{"layer": 6}, {"rho": 1.0, "strategy": "avg", "task": "asr"}]
    requests += [{"threshold": float(entropies[i] + entropies[i + 1]) / 2} for i in gaps]
    seen = set()
    for request in requests:
        for wave in waves:
            theirs, ours = model([wave], **request), runner(wave.numpy(), **request)
            assert ours.exit_layer == theirs.exit_layer[0]
            assert np.abs(ours.features - theirs.features[0].numpy()).max() < 1e-4
            assert np.allclose(ours.entropies, theirs.entropies[0], atol=1e-4, equal_nan=True)
            seen.add(ours.exit_layer)
    assert len(seen) > 2


@pytest.mark.parametrize(
    "parts",
    [
        {"buckets": 20, "furthest": 15},
        {"pos_depth": 5, "pos_kernel": 19, "layer_norm_front_end": True, "normalize": True},
    ],
    ids=["WavLM", "data2vec"],
)
def test_other_encoders(parts, waves, tmp_path):
    sizes = {"dim": 16, "ffn_dim": 16, "heads": 2, "layers": 2, "pos_kernel": 16, "pos_groups": 4}
    shape = HubertConfig(**{"conv_layers": ((8, 10, 5), (8, 8, 8), (8, 8, 8)), **sizes, **parts})
    checkpoint = Checkpoint(drawn(shape), None, None, "after-norm", settings_of(shape))
    export(checkpoint, tmp_path / "onnx")
    runner = OnnxDaisy(tmp_path / "onnx", threads=1)
    for wave in waves[:2]:
        theirs = daisy.Daisy(checkpoint)([wave], layer=2).features[0].numpy()
        assert np.abs(runner(wave.numpy(), layer=2).features - theirs).max() < 1e-4


def test_only_what_is_needed_runs(exported, waves):
    _, folder = exported
    runner = OnnxDaisy(folder / "float", threads=1)
    runner(waves[0].numpy(), layer=2)
    assert sorted(runner._sessions) == ["front_end", "layer-01", "layer-02"]


def test_int8_is_smaller_and_close(exported, waves):
    model, folder = exported
    sizes = {
        name: sum(file.stat().st_size for file in (folder / name).glob("layer-*.onnx")) for name in ("float", "int8")
    }
    assert sizes["int8"] < 0.5 * sizes["float"]
    ours = OnnxDaisy(folder / "int8", threads=1)(waves[0].numpy()).features
    theirs = model([waves[0]]).features[0].numpy()
    assert 0 < np.linalg.norm(ours - theirs) < 0.1 * np.linalg.norm(theirs)


def test_runner_needs_no_torch(exported):
    _, folder = exported
    code = (
        "import sys, numpy; from daisy.library.onnx_runtime import OnnxDaisy; "
        f"print(OnnxDaisy({str(folder / 'float')!r})(numpy.zeros(8000, 'f4')).exit_layer); "
        "assert 'torch' not in sys.modules"
    )
    outcome = ended([sys.executable, "-c", code])
    assert outcome.stdout.strip() == "6", outcome.stderr


def test_faults(exported, checkpoint, tmp_path, waves):
    _, folder = exported
    with pytest.raises(DaisyError, match="there already"):
        export(checkpoint, folder / "float")
    with pytest.raises(DaisyError, match=r"daisy\.json"):
        OnnxDaisy(tmp_path)
    runner = OnnxDaisy(folder / "float")
    for wave in (np.zeros((2, 16_000), "f4"), np.zeros(10, "f4"), np.full(16_000, np.nan), np.zeros(16_000, "i2")):
        with pytest.raises(DaisyError, match="waveform"):
            runner(wave)
    with pytest.raises(DaisyError, match="not calibrated for the task"):
        runner(waves[0].numpy(), rho=1.0, strategy="avg", task="sid")
    description = json.loads((folder / "float/daisy.json").read_text())
    (tmp_path / "daisy.json").write_text(json.dumps(description))
    with pytest.raises(DaisyError, match="segment is missing"):
        OnnxDaisy(tmp_path)(waves[0].numpy())


@pytest.mark.parametrize("signal", ["least-sure", "divergence"])
def test_a_branch_measures_another_signal(checkpoint, tmp_path, signal):
    branches, dim = checkpoint.branches, checkpoint.encoder.config.dim
    branch, given = _branch(branches, 3, signal)
    _segment(branch, torch.zeros(1, 20, dim), tmp_path / "branch.onnx", given, ["entropy"])
    session = onnxruntime.InferenceSession(tmp_path / "branch.onnx", providers=["CPUExecutionProvider"])
    judge = SignalJudge(branches, signal)
    assert given == (["h", "before"] if judge.looks_back else ["h"])
    for frames in (7, 31):
        h, before = torch.randn(2, frames, dim, generator=torch.Generator().manual_seed(frames))
        (ours,) = session.run(None, {name: x[None].numpy() for name, x in zip(given, (h, before), strict=False)})
        said = branches(2, before) if judge.looks_back else None
        theirs = judge.measured(branches(3, h), said, Packing([frames], h.device))
        assert np.allclose(ours, theirs, atol=1e-5)


def test_a_pass_by_a_signal_that_looks_back(exported, waves, tmp_path):
    """The folder of another export, with branches that measure agreement instead."""
    model, folder = exported
    out, config = tmp_path / "out", model.config
    shutil.copytree(folder / "float", out)
    for k in range(1, config.layers):
        branch, given = _branch(model.checkpoint.branches, k, "agreement")
        _segment(branch, torch.zeros(1, 20, config.dim), out / f"branch-{k:02d}.onnx", given, ["entropy"])
    runner = OnnxDaisy(out, threads=1)
    for wave in waves[:2]:
        theirs = model([wave], threshold=0.4, signal="agreement")
        ours = runner(wave.numpy(), threshold=0.4)
        assert ours.exit_layer == theirs.exit_layer[0]
        assert np.allclose(ours.entropies, theirs.entropies[0], atol=1e-4, equal_nan=True)


def test_a_folder_has_the_one_signal_of_its_thresholds(checkpoint):
    def calibrated(*signals: str) -> str:
        items = [Calibration("midrange", (1.0,) * 6, None, 0.2, {1.0: (1,) * 6}, signal) for signal in signals]
        checkpoint.calibrations = {f"task{place}": item for place, item in enumerate(items)}
        return signal_in(checkpoint)

    assert [calibrated(), calibrated("margin", "margin")] == ["entropy", "margin"]
    with pytest.raises(DaisyError, match="several signals: entropy, margin"):
        calibrated("margin", "entropy")
