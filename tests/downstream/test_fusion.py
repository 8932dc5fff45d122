"""The weighted sum of states: what it is by hand, its gradients, and a training with a row of scalars per exit."""

from __future__ import annotations

import json
import math

import pytest
import torch

from daisy.common.files import read_json, write_json
from daisy.corpora.utterances import read_manifest
from daisy.downstream import train as downstream
from daisy.downstream.fusion import LayerSum
from daisy.downstream.model import Downstream, load_downstream
from daisy.downstream.scoring import scores
from daisy.downstream.split import load_split
from daisy.downstream.system import Cell, predict
from daisy.exits.rule import ExitRule, all_candidates
from daisy.features import entropies as feature_entropies
from daisy.features import states as feature_states
from daisy.features.kept import load_features
from daisy.features.measured import load_measured
from daisy.hubert.early_exit import EarlyExitHubert

LAYERS, DIM = 4, 3
EXITS = [2, 4, 1, 2]
KINDS = ("dynamic", "dynamic-s")


def filled(kind: str) -> LayerSum:
    """A sum whose scalars all differ."""
    torch.manual_seed(0)
    fusion = LayerSum(LAYERS, kind)
    with torch.no_grad():
        fusion.scalars.copy_(torch.randn_like(fusion.scalars))
    return fusion


def row_of(fusion: LayerSum, exit_layer: int) -> list[float]:
    """The scalars of an exit layer: its own, or those of all."""
    own = fusion.scalars[exit_layer - 1] if fusion.kind == "dynamic-s" else fusion.scalars
    return own.tolist()[: exit_layer + 1]


def by_hand(scalars: list[float]) -> list[float]:
    """Their softmax."""
    total = sum(math.exp(value) for value in scalars)
    return [math.exp(value) / total for value in scalars]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exits", [EXITS, [1, 1], [4]])
def test_the_sum_and_its_gradient_by_hand(kind, exits):
    fusion, frames = filled(kind), 5
    states = torch.randn(len(exits), frames, max(exits) + 1, DIM)
    pull = torch.randn(len(exits), frames, DIM)
    found = fusion(states, torch.tensor(exits))
    (found * pull).sum().backward()
    gradient = torch.zeros_like(fusion.scalars)
    for place, exit_layer in enumerate(exits):
        weights = by_hand(row_of(fusion, exit_layer))
        for frame in range(frames):
            for d in range(DIM):
                value = sum(weights[n] * states[place, frame, n, d].item() for n in range(exit_layer + 1))
                assert found[place, frame, d].item() == pytest.approx(value, abs=1e-6)
                for n in range(exit_layer + 1):
                    # How a softmax answers to one of its inputs: w_n (x_n - sum of w x).
                    own = pull[place, frame, d] * weights[n] * (states[place, frame, n, d] - value)
                    gradient[(exit_layer - 1, n) if kind == "dynamic-s" else n] += own
    torch.testing.assert_close(fusion.scalars.grad, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_end_at_the_exit(kind):
    weights = filled(kind).weights(torch.tensor(EXITS))
    for row, exit_layer in zip(weights, EXITS, strict=True):
        assert row.sum().item() == pytest.approx(1) and (row[: exit_layer + 1] > 0).all()
        assert not row[exit_layer + 1 :].any()


def test_exits_share_scalars_or_have_their_own():
    shared, own = (filled(kind).weights(torch.tensor([2, 4])) for kind in KINDS)
    torch.testing.assert_close(shared[1, :3] / shared[1, :3].sum(), shared[0, :3])
    assert not torch.allclose(own[1, :3] / own[1, :3].sum(), own[0, :3])


def test_before_training_all_states_count_alike():
    for kind in KINDS:
        assert LayerSum(LAYERS, kind).weights(torch.tensor([3])).tolist() == [[0.25] * 4 + [0.0]]


def test_a_training_with_a_row_per_exit(spoken, checkpoint):
    """From features with mixed exits to a file that predicts what the shared features say."""
    manifest = read_manifest(spoken / "train.tsv")
    settings = json.dumps(
        {"view": {"states": "after-norm", "pooled": True}, "storage": "float32", "batch_seconds": 9.0}
    )
    states, entropies = str(spoken / "states.npy"), str(spoken / "entropies.npz")
    files = ["--manifest", str(spoken / "train.tsv"), "--out"]
    feature_states.main(["--settings", settings, "--checkpoint", str(spoken / "daisy.pt"), *files, states])
    feature_entropies.main(
        ["--settings", '{"batch_seconds": 9.0}', "--upstream", str(spoken / "daisy.pt"), *files, entropies]
    )
    features, measured = load_features(spoken / "states.npy"), load_measured(spoken / "entropies.npz", 6)
    tau = float(sorted(measured.entropies[:, :-1].min(axis=1))[len(manifest) // 2])
    write_json(spoken / "tau.json", {"tau": tau})
    training = {
        "task": "sid",
        "options": {"projection": 8},
        "method": {"kind": "daisy"},
        "states": "after-norm",
        "fusion": "dynamic-s",
        "steps": 9,
    }
    training |= {"batch_size": 3, "optimizer": "adam", "learning_rate": 0.05, "schedule": "constant", "clip": 1.0}
    training |= {"dev_every": 3, "seed": 1, "save_every": 9}
    out = spoken / "out"
    arguments = ["--settings", json.dumps(training), "--calibration", str(spoken / "tau.json")]
    for part in ("train", "dev"):
        arguments += [f"--{part}-manifest", str(spoken / "train.tsv"), f"--{part}-states", states]
        arguments += [f"--{part}-entropies", entropies]
    arguments += ["--state", str(out / "state"), "--out", str(out / "model.safetensors")]
    downstream.main([*arguments, "--exits", str(out / "exits.json"), "--history", str(out / "history.csv")])
    model = load_downstream(out / "model.safetensors")
    split = load_split(model.task, manifest, features, ExitRule(all_candidates(1, 6), tau).layers(measured.entropies))
    exits = split.exits.tolist()
    assert len(set(exits)) > 1 and read_json(out / "exits.json")["counts"] == [exits.count(k) for k in range(1, 7)]
    scalars = model.fusion.scalars
    assert model.fusion.kind == "dynamic-s" and scalars.shape == (6, 7)
    for exit_layer in range(1, 7):
        moved = scalars[exit_layer - 1] != 0
        assert not moved[exit_layer + 1 :].any() and moved.any().item() == (exit_layer in exits)
    upstream = EarlyExitHubert(checkpoint)
    cell = Cell(model, ExitRule(tuple(range(1, 7)), tau))
    found = [predict(upstream, cell, manifest.wave(index)) for index in range(len(manifest))]
    assert [layer for _, layer in found] == exits
    judged = [model.task.score(said, example) for (said, _), example in zip(found, split.examples, strict=True)]
    assert judged == scores(model, split)
    untrained = Downstream(model.task, 6, features.shape[1], "dynamic-s").eval()
    assert not torch.equal(untrained.fusion(*split.batch(range(6))[:2]), model.fusion(*split.batch(range(6))[:2]))
