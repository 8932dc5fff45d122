"""Checkpoints as other programs write them: torchaudio, transformers, fairseq."""

from __future__ import annotations

import argparse
import json
import sys
import types

import pytest
import safetensors.torch
import torch
from models import assert_same, drawn, fairseq_file, large_shaped

from daisy.cli import convert
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint, load, save, state_dict
from daisy.hubert.config import HubertConfig
from daisy.hubert.formats.registry import FORMATS
from daisy.hubert.formats.source import open_source
from daisy.hubert.formats.torchaudio import NAMES
from daisy.hubert.formats.writing import WRITERS


def test_the_command_offers_every_writer():
    assert sorted(convert.FORMATS) == sorted(WRITERS)


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_one_format_alone_knows_a_file(checkpoint, tmp_path, form):
    save(tmp_path / "model", checkpoint, form)
    source = open_source(tmp_path / "model")
    assert [item.name for item in FORMATS if item.recognise(source)] == [form]


def torchaudio_state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return NAMES.from_own(state_dict(checkpoint), checkpoint.encoder.config)


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
    again = load(tmp_path / "model.pt", heads=1)
    assert again.format == "torchaudio"
    assert_same(checkpoint, again)
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    assert_same(checkpoint, load(tmp_path / "model.safetensors", heads=1))


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


def test_transformers_folder_without_weights_or_config(checkpoint, tmp_path):
    save(tmp_path / "model", checkpoint, "transformers")
    (tmp_path / "model/model.safetensors").unlink()
    with pytest.raises(DaisyError, match=r"no model\.safetensors"):
        load(tmp_path / "model")
    (tmp_path / "model/config.json").unlink()
    with pytest.raises(DaisyError, match=r"no config\.json"):
        load(tmp_path / "model")


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


CONVOLUTIONS = ((8, 10, 5), (8, 3, 2), (8, 2, 2))
DISTILLER = {
    **{"extractor_mode": "default", "extractor_conv_feature_layers": "[(8,10,5), (8,3,2), (8,2,2)]"},
    **{"conv_pos": 6, "conv_pos_groups": 2, "encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24},
    **{"encoder_attention_heads": 2, "activation_fn": "gelu", "layer_norm_first": False, "attention_type": "original"},
    **{"n_tasks": 3, "task_emb_type": "expand-last", "pred_layer_id": [4, 8, 12], "cosine_loss": 1.0},
    **{"out_layer_type": "expand-last", "final_dim": 16, "init_teacher_encoder_layers": True, "feature_grad_mult": 0.1},
}


@pytest.fixture
def distilled() -> Checkpoint:
    """A model of DistilHuBERT's shape, small."""
    shape = HubertConfig(
        CONVOLUTIONS, dim=16, ffn_dim=24, heads=2, layers=2, pos_kernel=6, pos_groups=2, feature_norm=False
    )
    return Checkpoint(drawn(shape), None, None, "after-norm", {})


def s3prl_file(checkpoint: Checkpoint, path, **changes):
    """As s3prl's pre-training writes it, with the heads and all that its trainer keeps."""
    state = state_dict(checkpoint)
    heads = {"output_layer.0.weight": (48, 16), "output_layer.0.bias": (48,), "output_layer.2.weight": (3, 16, 16)}
    state |= {name: torch.randn(size) for name, size in heads.items()}
    content = {
        "Distiller": state,
        "Config": {"distiller": {**DISTILLER, **changes}, "teacher": {"model": "hubert_base"}, "task": {}},
        "Args": argparse.Namespace(upstream="distiller", device="cuda", multi_gpu=False),
        "Runner": {"runner": {"total_steps": 200_000}},
        "Step": 200_000,
    }
    torch.save(content, path)
    return path


def test_s3prls_distilhubert(tmp_path, distilled):
    path = s3prl_file(distilled, tmp_path / "states.ckpt")
    assert [item.name for item in FORMATS if item.recognise(open_source(path))] == ["s3prl"]
    again = load(path)
    assert again.format == "s3prl"
    assert_same(distilled, again)
    for form in ("safetensors", "transformers"):
        save(tmp_path / form, again, form)
        assert_same(distilled, load(tmp_path / form))
    assert json.loads((tmp_path / "transformers/config.json").read_text())["feat_proj_layer_norm"] is False


def test_s3prls_optimiser_lies_beside_the_weights(tmp_path, distilled, fake_modules):
    (schedule,) = fake_modules("optimizers", "WarmupLinearSchedule")
    path = s3prl_file(distilled, tmp_path / "states.ckpt")
    made = schedule()
    made.warmup, made.t_total = 0.07, 200_000.0
    whole = {**torch.load(path, weights_only=False), "Optimizer": {"state": {}, "param_groups": [{"schedule": made}]}}
    torch.save(whole, path)
    assert_same(distilled, load(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attention_type": "sparse"}, "attention_type is 'sparse'"),
        ({"task_emb_type": "add"}, "task_emb_type is 'add'"),
        ({"rotary": True}, "rotary"),
        ({"encoder_layers": 3}, "3 layers"),
    ],
)
def test_s3prls_other_distillers_are_refused(tmp_path, distilled, changes, said):
    with pytest.raises(DaisyError, match=said):
        load(s3prl_file(distilled, tmp_path / "states.ckpt", **changes))


def test_s3prls_file_without_settings_is_refused(tmp_path, distilled):
    torch.save({"Distiller": state_dict(distilled)}, tmp_path / "states.ckpt")
    with pytest.raises(DaisyError, match=r"no settings of the model \(Config.distiller\)"):
        load(tmp_path / "states.ckpt")
