"""Checkpoints of every format: read, written, read again; and what is refused."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import sys
import types
from pathlib import Path

import pytest
import safetensors.torch
import torch

import daisy
from daisy.calibrations import Calibration
from daisy.errors import DaisyError
from daisy.hubert import naming
from daisy.hubert.checkpoint import Checkpoint, PretrainingHead, load
from daisy.hubert.config import HubertConfig
from daisy.hubert.encoder import Hubert
from daisy.hubert.writing import save, state_dict

GOLDEN = Path(__file__).parent / "golden"
CALIBRATION = Calibration(
    "midrange", (1.5, 1.4, 1.3, 1.2, 1.1, 1.0), None, 0.2, {0.7: (0, 0, 0, 0, 0, 9), 1.0: (0, 0, 3, 4, 2, 0)}
)


def filled(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` with everything that a file can hold."""
    torch.manual_seed(3)
    dim = checkpoint.encoder.config.dim
    checkpoint.head = PretrainingHead(torch.nn.Linear(dim, 8), torch.randn(20, 8)).requires_grad_(False)
    checkpoint.calibrations = {"asr": CALIBRATION}
    assert checkpoint.mask_embedding is not None and checkpoint.symbols is not None
    return checkpoint


def large_shaped() -> Checkpoint:
    """A small model with Large's layer norms, biases and waveform normalisation."""
    torch.manual_seed(5)
    convolutions = ((32, 10, 5), (32, 3, 2), (32, 2, 2))
    shape = HubertConfig(convolutions, True, True, 64, 128, 1, 2, 16, 4, True, True)
    encoder = Hubert(shape).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    model = {
        "conv_feature_layers": str(list(convolutions)),
        "conv_bias": True,
        "extractor_mode": "layer_norm",
        "encoder_embed_dim": 64,
        "encoder_ffn_embed_dim": 128,
        "encoder_attention_heads": 1,
        "encoder_layers": 2,
        "conv_pos": 16,
        "conv_pos_groups": 4,
        "layer_norm_first": True,
    }
    return Checkpoint(encoder, None, None, "after-norm", {"model": model, "task": {"normalize": True}})


def assert_same(one: Checkpoint, other: Checkpoint, *, head: bool = True) -> None:
    own, read = state_dict(one), state_dict(other)
    if not head:
        own = {name: value for name, value in own.items() if name in read}
    assert own.keys() == read.keys()
    assert all(torch.equal(value, read[name]) for name, value in own.items())
    assert one.encoder.config == other.encoder.config
    assert (one.position, one.calibrations) == (other.position, other.calibrations)


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


def torchaudio_state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return naming.from_fairseq_names(state_dict(checkpoint), checkpoint.encoder.config, "torchaudio")


@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
@pytest.mark.parametrize("parametrised", [False, True])
def test_torchaudio(tmp_path, prefix, parametrised):
    checkpoint = large_shaped()
    state = torchaudio_state(checkpoint)
    if parametrised:
        place = "encoder.transformer.pos_conv_embed.conv."
        state[place + "parametrizations.weight.original0"] = state.pop(place + "weight_g")
        state[place + "parametrizations.weight.original1"] = state.pop(place + "weight_v")
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    assert again.format == "torchaudio"
    assert_same(checkpoint, again)
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    assert_same(checkpoint, load(tmp_path / "model.safetensors"))


def test_transformers_weights_alone_and_inside_a_larger_model(tmp_path):
    checkpoint = large_shaped()
    save(tmp_path / "model", checkpoint, "transformers")
    for name in ("daisy.json",):
        (tmp_path / "model" / name).unlink()
    assert_same(checkpoint, load(tmp_path / "model"))
    assert_same(checkpoint, load(tmp_path / "model/model.safetensors"))
    state = safetensors.torch.load_file(tmp_path / "model/model.safetensors")
    safetensors.torch.save_file({f"hubert.{k}": v for k, v in state.items()}, tmp_path / "model/model.safetensors")
    assert_same(checkpoint, load(tmp_path / "model"))


def test_transformers_in_several_files(tmp_path):
    checkpoint = large_shaped()
    folder = tmp_path / "model"
    save(folder, checkpoint, "transformers")
    state = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in parts.items():
        safetensors.torch.save_file({name: state[name] for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_same(checkpoint, load(folder))
    index["weight_map"][names[0]] = "../../secret.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DaisyError, match="secret"):
        load(folder)


def fairseq_file(checkpoint: Checkpoint, path: Path, **more: object) -> Path:
    """As fairseq's trainer writes it."""
    state = {name: value for name, value in state_dict(checkpoint).items() if not name.startswith("final_proj")}
    content = {"args": None, "cfg": checkpoint.fairseq_config, "model": state, "extra_state": {}}
    torch.save({**content, **more}, path)
    return path


@pytest.fixture
def fake_modules(monkeypatch):
    """Modules of packages that are not installed, so that real pickles of their classes can be made."""

    def make(name: str, *classes: str) -> list[type]:
        for depth in range(1, name.count(".") + 2):
            part = ".".join(name.split(".")[:depth])
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        made = [type(item, (), {"__module__": name}) for item in classes]
        for item in made:
            setattr(sys.modules[name], item.__name__, item)
        return made

    return make


def test_fairseq_file_with_its_own_classes(tmp_path, fake_modules):
    (dictionary,) = fake_modules("fairseq.data.dictionary", "Dictionary")
    symbols = dictionary()
    symbols.symbols, symbols.count = ["0", "1"], [1, 1]
    path = fairseq_file(large_shaped(), tmp_path / "model.pt", task_state={"dictionaries": [symbols]})
    again = load(path)
    assert again.format == "fairseq"
    assert_same(large_shaped(), again)


def test_fairseq_file_with_omegaconf(tmp_path, fake_modules):
    container, _ = fake_modules("omegaconf.dictconfig", "DictConfig", "Unused")
    (node,) = fake_modules("omegaconf.nodes", "AnyNode")

    def wrap(value):
        result = container() if isinstance(value, dict) else node()
        if isinstance(value, dict):
            result._content = {key: wrap(item) for key, item in value.items()}
        else:
            result._val = value
        return result

    checkpoint = large_shaped()
    path = fairseq_file(checkpoint, tmp_path / "model.pt", cfg=wrap(checkpoint.fairseq_config))
    assert_same(checkpoint, load(path))


def test_fairseq_file_with_old_arguments(tmp_path):
    checkpoint = large_shaped()
    values = argparse.Namespace(**checkpoint.fairseq_config["model"], normalize=True)
    assert_same(checkpoint, load(fairseq_file(checkpoint, tmp_path / "model.pt", cfg=None, args=values)))


class Malicious:
    """A pickle of it makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["extra_state", "cfg", "model"])
def test_malicious_pickle_is_refused(tmp_path, place):
    trap = tmp_path / "trap"
    path = fairseq_file(large_shaped(), tmp_path / "model.pt", **{place: {"x": Malicious(trap)}})
    with pytest.raises(DaisyError, match=r"refused: it wants to load \w+\.system"):
        daisy.load(path)
    assert not trap.exists()


def test_malicious_pickle_without_torch_is_refused(tmp_path):
    trap = tmp_path / "trap"
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Malicious(trap)))
    with pytest.raises(DaisyError):
        daisy.load(tmp_path / "model.pt")
    assert not trap.exists()


def test_convolutions_are_parsed_and_never_run(tmp_path):
    trap = tmp_path / "trap"
    checkpoint = large_shaped()
    model = {**checkpoint.fairseq_config["model"], "conv_feature_layers": f"__import__('os').mknod('{trap}')"}
    path = fairseq_file(checkpoint, tmp_path / "model.pt", cfg={"model": model, "task": {}})
    with pytest.raises(DaisyError, match="conv_feature_layers"):
        load(path)
    assert not trap.exists()


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
        (folder / "config.json").write_text('{"model_type": "wavlm"}')
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
    safetensors.torch.save_file(state, path, {"fairseq_config": json.dumps(config)})
    if kind == "truncated":
        os.truncate(path, 20_000)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("format", "damaged or cut short"),
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
        ("folder", "model_type is 'wavlm'"),
    ],
)
def test_faults_are_named(tmp_path, kind, message):
    path = broken(kind, tmp_path)
    with pytest.raises(DaisyError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)


def test_transformers_folder_without_weights_or_config(checkpoint, tmp_path):
    save(tmp_path / "model", checkpoint, "transformers")
    (tmp_path / "model/model.safetensors").unlink()
    with pytest.raises(DaisyError, match=r"no model\.safetensors"):
        load(tmp_path / "model")
    (tmp_path / "model/config.json").unlink()
    with pytest.raises(DaisyError, match=r"no config\.json"):
        load(tmp_path / "model")
