"""Streamed states: what the model makes again is what would have been kept, and trainings see no difference."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from daisy.common.cached import Cached
from daisy.corpora.utterances import read_manifest
from daisy.downstream import train as downstream
from daisy.errors import DaisyError
from daisy.features import states as feature_states
from daisy.features.kept import load_features
from daisy.features.streamed import Streamed, open_features
from daisy.hubert.checkpoint import load


def extracted(folder, name: str, *, keep: bool, pooled: bool = False):
    settings = {"pooled": pooled, "storage": "float32", "batch_seconds": 5.0, "keep": keep}
    feature_states.main(
        ["--settings", json.dumps(settings), "--upstream", str(folder / "daisy.pt")]
        + ["--manifest", str(folder / "train.tsv"), "--out", str(folder / name / "states.npy")]
    )
    return folder / name / "states.npy"


@pytest.mark.parametrize("pooled", [False, True])
def test_streamed_states_are_those_that_would_be_kept(spoken, pooled):
    manifest, model = read_manifest(spoken / "train.tsv"), load(spoken / "daisy.pt")
    kept = open_features(extracted(spoken, "kept", keep=True, pooled=pooled), manifest, None)
    path = extracted(spoken, "streamed", keep=False, pooled=pooled)
    streamed = open_features(path, manifest, model)
    assert kept.kept and not streamed.kept and isinstance(streamed, Streamed)
    assert path.stat().st_size < 1000
    assert kept.shape == streamed.shape == (6, 64)
    np.testing.assert_array_equal(kept.entropies, streamed.entropies)
    for layers in (1, 4, 6):
        for one, other in zip(kept.batch([2, 0, 5], layers), streamed.batch([2, 0, 5], layers), strict=True):
            assert one.shape == other.shape and one.shape[1] == layers + 1
            torch.testing.assert_close(one, other, rtol=0, atol=5e-5)
    torch.testing.assert_close(kept.utterance(3, 2), streamed.utterance(3, 2), rtol=0, atol=5e-5)


def test_items_are_read_on_demand():
    for keep in (True, False):
        read: list[int] = []
        items = Cached(lambda index, read=read: read.append(index) or 10 * index, 3, keep=keep)
        assert list(items) == [0, 10, 20] == list(items) and len(read) == (3 if keep else 6)
        for index in (-1, 3):
            with pytest.raises(IndexError):
                items[index]


def test_a_batch_runs_no_deeper_than_its_latest_exit(spoken, monkeypatch):
    manifest, model = read_manifest(spoken / "train.tsv"), load(spoken / "daisy.pt")
    streamed = open_features(extracted(spoken, "streamed", keep=False), manifest, model)
    run: list[int] = []
    layer = model.encoder.layer
    monkeypatch.setattr(model.encoder, "layer", lambda k, *rest: (run.append(k), layer(k, *rest))[1])
    streamed.batch([0, 1], 3)
    assert run == [1, 2, 3]


def test_trainings_agree(spoken):
    """The same training from kept and from streamed states."""
    options = {"projection": 8}
    settings = {"task": "sid", "options": options, "method": {"kind": "full"}, "fusion": "dynamic", "steps": 6}
    settings |= {"batch_size": 2}
    settings |= {"optimizer": "adam", "learning_rate": 0.01, "schedule": "constant", "clip": 1.0, "dev_every": 3}
    settings |= {"seed": 1, "save_every": 2}
    losses = []
    for name, keep in (("kept", True), ("streamed", False)):
        path = str(extracted(spoken, name, keep=keep))
        arguments = ["--settings", json.dumps(settings)]
        for part in ("train", "dev"):
            arguments += [f"--{part}-manifest", str(spoken / "train.tsv"), f"--{part}-features", path]
        out = spoken / name
        arguments += ["--state", str(out / "state"), "--out", str(out / "model.safetensors")]
        arguments += ["--exits", str(out / "exits.json"), "--history", str(out / "history.csv")]
        downstream.main([*arguments, *([] if keep else ["--upstream", str(spoken / "daisy.pt")])])
        losses.append([float(line.split(",")[1]) for line in (out / "history.csv").read_text().splitlines()[1:]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_states_that_do_not_fit_their_table(spoken):
    path = extracted(spoken, "kept", keep=True)
    np.save(path, np.load(path)[:-1])
    with pytest.raises(DaisyError, match="but its table counts"):
        load_features(path)


def test_streaming_needs_its_model(spoken, tmp_path):
    manifest = read_manifest(spoken / "train.tsv")
    path = extracted(spoken, "streamed", keep=False)
    with pytest.raises(DaisyError, match="streamed, which needs the model"):
        open_features(path, manifest, None)
    from project import ROOT

    with pytest.raises(DaisyError, match=r"features of \(layers, width\)"):
        open_features(path, manifest, load(ROOT / "daisy/models/hubert_tiny.safetensors"))
    with pytest.raises(IndexError):
        load_features(path).utterance(0, 1)[0]
