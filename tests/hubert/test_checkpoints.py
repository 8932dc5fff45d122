"""Checkpoints of every format: read, written, read again; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from models import assert_same, filled, large_shaped
from project import GOLDEN

from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load, save, state_dict


@pytest.mark.parametrize("form", ["daisy", "safetensors", "transformers"])
def test_round_trip_is_exact(checkpoint, tmp_path, form):
    filled(checkpoint)
    save(tmp_path / "model", checkpoint, form)
    again = load(tmp_path / "model")
    assert again.format == form and again.symbols == checkpoint.symbols
    assert_same(checkpoint, again, head=form != "daisy")
    assert (again.head is None) == (form == "daisy")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("form", ["safetensors", "transformers"])
def test_round_trip_of_a_large_shape(tmp_path, form):
    save(tmp_path / "model", large_shaped(), form)
    assert_same(large_shaped(), load(tmp_path / "model"))


def test_chain_through_every_format(checkpoint, tmp_path):
    first = filled(checkpoint)
    first.head = None
    for number, form in enumerate(("transformers", "daisy", "safetensors", "transformers", "daisy")):
        save(tmp_path / str(number), checkpoint, form)
        checkpoint = load(tmp_path / str(number))
    assert_same(first, checkpoint)


def test_writing_replaces_a_model_folder_and_nothing_else(checkpoint, tmp_path):
    for _ in range(2):
        save(tmp_path / "model", checkpoint, "transformers")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").touch()
    with pytest.raises(DaisyError, match="no model folder"):
        save(tmp_path / "photos", checkpoint, "transformers")
    assert (tmp_path / "photos/one.jpg").exists()


def test_published_file_has_the_published_keys(checkpoint, tmp_path):
    save(tmp_path / "model.pt", checkpoint, "daisy")
    ours = torch.load(tmp_path / "model.pt", weights_only=True)
    theirs = torch.load(GOLDEN / "daisy_tiny_after_norm.pt", weights_only=True)
    assert ours.keys() == theirs.keys()
    assert ours["model_weight"].keys() == theirs["model_weight"].keys()
    assert ours["model_cfg"]["cls_pred_position"] == theirs["model_cfg"]["cls_pred_position"]
    assert ours["model_cfg"]["final_dim"] == theirs["model_cfg"]["final_dim"]


def test_published_format_needs_branches(tmp_path):
    with pytest.raises(DaisyError, match="needs exit branches"):
        save(tmp_path / "model.pt", large_shaped(), "daisy")


def other_file(kind: str, folder: Path) -> Path:
    """A file or folder that is no whole checkpoint."""
    path = folder / "model.pt"
    if kind == "format":
        path.write_text("This is a text.")
    elif kind == "other weights":
        torch.save({"weight": torch.zeros(3)}, path)
    elif kind == "empty":
        path.touch()
    elif kind == "truncated pt":
        shutil.copy(GOLDEN / "daisy_tiny_after_norm.pt", path)
        os.truncate(path, 20_000)
    else:
        (folder / "config.json").write_text('{"model_type": "whisper"}')
        return folder
    return path


def spoil(kind: str, state: dict[str, torch.Tensor], model: dict[str, object]) -> None:
    """Put one fault into weights or configuration."""
    if kind == "layers":
        model["encoder_layers"] = 8
    elif kind == "heads":
        model["encoder_embed_dim"] = 40
    elif kind == "branches":
        del state["final_proj.5.weight"], state["final_proj.5.bias"]
    elif kind == "width":
        for name in [name for name in state if name.startswith("final_proj") and name.endswith("weight")]:
            state[name] = state[name][:, :-1].contiguous()
    elif kind == "missing":
        del state["encoder.layers.3.fc1.weight"]
    elif kind == "nan":
        state["encoder.layers.3.fc1.weight"][0, 0] = float("nan")


def broken(kind: str, folder: Path) -> Path:
    """A checkpoint with one fault."""
    if kind in ("format", "other weights", "empty", "truncated pt", "folder"):
        return other_file(kind, folder)
    checkpoint = load(GOLDEN / "daisy_tiny_after_norm.pt")
    state, config = state_dict(checkpoint), json.loads(json.dumps(checkpoint.fairseq_config))
    spoil(kind, state, config["model"])
    path = folder / "model.safetensors"
    header = {"fairseq_config": "{" if kind == "header" else json.dumps(config)}
    safetensors.torch.save_file(state, path, None if kind == "no header" else header)
    if kind == "truncated":
        os.truncate(path, 20_000)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("format", "it is a text, not a checkpoint"),
        ("other weights", "no known checkpoint format"),
        ("empty", "is empty"),
        ("truncated", "damaged or cut short"),
        ("truncated pt", "damaged or cut short"),
        ("layers", "6 layers, and 8 layers by its configuration"),
        ("branches", "5 branches, and 6 layers"),
        ("width", "branches of width"),
        ("missing", r"encoder\.layers\.3\.fc1\.weight.* is missing"),
        ("nan", r"encoder\.layers\.3\.fc1\.weight holds NaN"),
        ("heads", "do not fit its configuration"),
        ("header", "fairseq_config in its header is not valid JSON"),
        ("no header", "no fairseq_config in its header"),
        ("folder", "model_type is 'whisper'"),
    ],
)
def test_faults_are_named(tmp_path, kind, message):
    path = broken(kind, tmp_path)
    with pytest.raises(DaisyError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)
