"""Streamed states: what the model makes again is what would have been kept, and trainings see no difference."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from daisy.common.cached import Cached
from daisy.corpora.utterances import read_manifest
from daisy.downstream import train as downstream
from daisy.errors import DaisyError
from daisy.features import states as feature_states
from daisy.features.entropies import measure
from daisy.features.kept import load_features
from daisy.features.measured import Measured
from daisy.features.seen import seen
from daisy.features.settings import EntropiesSettings, View
from daisy.features.streamed import Streamed, open_features
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert


def extracted(folder, view: View):
    settings = {"view": dataclasses.asdict(view), "storage": "float32", "batch_seconds": 5.0}
    feature_states.main(
        ["--settings", json.dumps(settings), "--checkpoint", str(folder / "daisy.pt")]
        + ["--manifest", str(folder / "train.tsv"), "--out", str(folder / "kept/states.npy")]
    )
    return folder / "kept/states.npy"


VIEWS = [
    *(View(states) for states in ("after-norm", "before-norm", "s3prl")),
    *(View("after-norm", pooled=True, normalise=what) for what in ("frames", "mean")),
]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_streamed_states_are_those_that_would_be_kept(spoken, view):
    manifest, model = read_manifest(spoken / "train.tsv"), load(spoken / "daisy.pt")
    kept = open_features(extracted(spoken, view), manifest, None, view)
    streamed = open_features(None, manifest, model.encoder, view)
    assert not isinstance(kept, Streamed) and isinstance(streamed, Streamed)
    assert kept.shape == streamed.shape == (6, 64)
    np.testing.assert_array_equal(kept.frames, streamed.frames)
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
    streamed = open_features(None, manifest, model.encoder, View("after-norm"))
    run: list[int] = []
    layer = model.encoder.layer
    monkeypatch.setattr(model.encoder, "layer", lambda k, *rest: (run.append(k), layer(k, *rest))[1])
    streamed.batch([0, 1], 3)
    assert run == [1, 2, 3]


def test_an_utterance_that_is_wanted_twice_runs_once(spoken, monkeypatch):
    """An oracle asks for the same one at many exits."""
    manifest, model = read_manifest(spoken / "train.tsv"), load(spoken / "daisy.pt")
    streamed = open_features(None, manifest, model.encoder, View("after-norm"))
    counts: list[int] = []
    front_end = model.encoder.front_end

    def counted(waves, **rest):
        counts.append(len(waves))
        return front_end(waves, **rest)

    monkeypatch.setattr(model.encoder, "front_end", counted)
    one, other, same = streamed.batch([4, 0, 4], 2)
    assert counts == [2] and one.equal(same) and one.shape != other.shape


def test_trainings_agree(spoken):
    """The same training from kept and from streamed states."""
    options = {"projection": 8}
    settings = {
        "task": "sid",
        "options": options,
        "method": {"kind": "full"},
        "states": "s3prl",
        "fusion": "dynamic",
        "steps": 6,
    }
    settings |= {"batch_size": 2}
    settings |= {"optimizer": "adam", "learning_rate": 0.01, "schedule": "constant", "clip": 1.0, "dev_every": 3}
    settings |= {"seed": 1, "save_every": 2}
    losses = []
    path = extracted(spoken, View("s3prl", pooled=True))
    for name in ("kept", "streamed"):
        arguments = ["--settings", json.dumps(settings)]
        for part in ("train", "dev"):
            arguments += [f"--{part}-manifest", str(spoken / "train.tsv")]
            arguments += [f"--{part}-states", str(path)] if name == "kept" else []
        out = spoken / name
        arguments += ["--state", str(out / "state"), "--out", str(out / "model.safetensors")]
        arguments += ["--exits", str(out / "exits.json"), "--history", str(out / "history.csv")]
        downstream.main([*arguments, *([] if name == "kept" else ["--checkpoint", str(spoken / "daisy.pt")])])
        losses.append([float(line.split(",")[1]) for line in (out / "history.csv").read_text().splitlines()[1:]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_states_that_do_not_fit_their_frames(spoken):
    path = extracted(spoken, View("after-norm"))
    np.save(path, np.load(path)[:-1])
    with pytest.raises(DaisyError, match=r"but frames\.npy counts"):
        load_features(path)


def test_streaming_needs_a_model(spoken):
    manifest = read_manifest(spoken / "train.tsv")
    with pytest.raises(DaisyError, match="no model is there to make them"):
        open_features(None, manifest, None, View("after-norm"))


def test_a_mean_that_is_normalised_or_frames_that_are():
    states = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))
    norm = torch.nn.functional.layer_norm
    frames = torch.stack([norm(states[:, t], (8,)) for t in range(5)]).mean(0)[None]
    mean = norm(states.mean(1), (8,))[None]
    for what, expected in (("frames", frames), ("mean", mean)):
        torch.testing.assert_close(seen(View("after-norm", True, what), states), expected)
    assert not torch.allclose(frames, mean, atol=1e-3)


def test_entropies_are_those_of_the_model(spoken):
    manifest, model = read_manifest(spoken / "train.tsv"), load(spoken / "daisy.pt")
    found = measure(model, manifest, EntropiesSettings(5.0), "entropies")
    single = [EarlyExitHubert(model).all_layers([manifest.wave(index)])[0] for index in range(len(manifest))]
    np.testing.assert_allclose(found.entropies, [item.entropies for item in single], atol=1e-5)
    assert found.frames.tolist() == [item.states.shape[1] for item in single]


def test_the_entropy_of_a_batch_is_the_mean_over_its_frames():
    measured = Measured(np.array([[1.0, 4.0], [2.0, 0.0], [9.0, 9.0]]), np.array([10, 30, 5]))
    np.testing.assert_allclose(measured.of_batch([0, 1]), [70 / 40, 1.0])
