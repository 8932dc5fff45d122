"""Checkpoints as they lie on people's disks, written by fairseq, transformers and torchaudio themselves."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from models import assert_same, fairseq_file, large_shaped
from project import GOLDEN

import daisy
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint, load, save, state_dict
from daisy.hubert.formats.fields import EXTRACTOR, FAIRSEQ, TASK, TRANSFORMERS
from daisy.hubert.formats.torchaudio import NAMES
from daisy.hubert.shape import shape_of

CASES = Path(__file__).parent.parent / "cases/checkpoints"
HEADS = {"ta_large_bundle.pt": 2, "ta_lightning.ckpt": 2}


@pytest.fixture(scope="module")
def states() -> dict[str, torch.Tensor]:
    """A recording, and by file the states that its maker's own code gives for it."""
    with np.load(CASES / "states.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.mark.parametrize(
    "name",
    [
        *("fs_relu.pt", "fs_25hz.pt", "fs_omega20.pt", "fs_ctc.pt", "fs_wav2vec2.pt"),
        *("tf_eps", "tf_ctc_large_nonorm", "tf_ctc_base_processor", "tf_bin"),
        *("ta_large_bundle.pt", "ta_lightning.ckpt"),
    ],
)
def test_equal_to_its_maker(states, name):
    shape = shape_of(CASES / name, heads=HEADS.get(name))
    assert (shape.layers, shape.hop) == (2, 640 if "25hz" in name else 320)
    features = daisy.load(CASES / name, heads=HEADS.get(name)).all_layers([states["wave"]]).features[0]
    for k in (1, 2):
        assert (features[k] - states[f"{name}/h{k}"]).abs().max() < 2e-5


def refusal(path: Path, heads: int | None = None) -> str:
    """In how many words a file is refused, which are the same while the Snakefile is parsed."""
    with pytest.raises(DaisyError) as early:
        shape_of(path, heads=heads)
    with pytest.raises(DaisyError) as late:
        load(path, heads)
    assert str(early.value) == str(late.value) and len(str(late.value).splitlines()) == 1
    assert not any(word in str(late.value) for word in ("incomplete", "missing", "damaged", "no known"))
    return str(late.value)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("fs_25hz_bn.pt", "a HuBERT with batch norm before its positional convolution"),
        ("fs_conformer.pt", "a conformer"),
        ("ta_wavlm.pt", "WavLM under torchaudio's names"),
    ],
)
def test_other_models_are_told(name, what):
    assert f"it is {what}" in refusal(CASES / name)


def test_torch_weights_of_transformers(tmp_path):
    whole = load(CASES / "tf_bin")
    assert_same(whole, load(CASES / "tf_bin/pytorch_model.bin"))
    shards = load(CASES / "tf_binshard")
    assert_same(shards, load(CASES / "tf_binshard/pytorch_model-00001-of-00002.bin"))
    # A file beside the usual one is itself, and not that one.
    shutil.copytree(CASES / "tf_eps", tmp_path / "model")
    state = safetensors.torch.load_file(CASES / "tf_eps/model.safetensors")
    other = {name: 2 * value for name, value in state.items()}
    safetensors.torch.save_file(other, tmp_path / "model/best.safetensors")
    found = load(tmp_path / "model/best.safetensors").encoder.layer_norm.weight
    assert torch.equal(found, 2 * load(tmp_path / "model").encoder.layer_norm.weight)


@pytest.mark.parametrize("links", [True, False], ids=["links", "texts"])
def test_cache_of_a_hub(tmp_path, links):
    model = tmp_path / "cache/models--facebook--hubert-base-ls960"
    for snapshot, source in (("abc", "tf_eps"), ("zzz", "tf_bin")):
        (model / "snapshots" / snapshot).mkdir(parents=True)
        (model / "blobs").mkdir(exist_ok=True)
        for number, file in enumerate((CASES / source).iterdir()):
            shutil.copy(file, model / f"blobs/{snapshot}{number}")
            place, target = model / "snapshots" / snapshot / file.name, f"../../blobs/{snapshot}{number}"
            place.symlink_to(target) if links else place.write_text(target)
    (model / "refs").mkdir()
    (model / "refs/main").write_text("abc")
    wanted = load(CASES / "tf_eps")
    for path in (tmp_path / "cache", model, model / "snapshots/abc"):
        assert_same(wanted, load(path))
    (tmp_path / "cache/models--other--model").mkdir()
    assert "a hub's cache with 2 models" in refusal(tmp_path / "cache")
    shutil.rmtree(model / "snapshots")
    (model / "snapshots").mkdir()
    assert "without a whole snapshot" in refusal(model)


def torchaudio_state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return NAMES.from_own(state_dict(checkpoint), checkpoint.encoder.config)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.wav2vec2.", "module.hubert.", "a.b.c."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_prefixes_and_wrappers(tmp_path, prefix, wrapper):
    checkpoint = large_shaped()
    state = {prefix + name: value for name, value in torchaudio_state(checkpoint).items()}
    state["other.weight"] = torch.zeros(2)
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "model.pt")
    assert_same(checkpoint, load(tmp_path / "model.pt", heads=1))
    own = {prefix + name: value for name, value in state_dict(checkpoint).items()}
    fairseq_file(checkpoint, tmp_path / "fairseq.pt", model=own)
    assert_same(checkpoint, load(tmp_path / "fairseq.pt"))


def test_two_encoders(tmp_path):
    state = torchaudio_state(large_shaped())
    both = {f"{part}.{name}": value for part in ("teacher", "student") for name, value in state.items()}
    torch.save(both, tmp_path / "model.pt")
    assert "2 encoders (prefixes 'student.', 'teacher.')" in refusal(tmp_path / "model.pt")


def test_heads_are_asked_for(tmp_path):
    torch.save(torchaudio_state(large_shaped()), tmp_path / "model.pt")
    assert "do not tell the number of attention heads" in refusal(tmp_path / "model.pt")
    assert "3, which does not divide the width 64" in refusal(tmp_path / "model.pt", heads=3)
    assert load(tmp_path / "model.pt", heads=4).encoder.config.heads == 4
    save(tmp_path / "told.safetensors", large_shaped(), "safetensors")
    said = refusal(tmp_path / "told.safetensors", heads=4)
    assert "4 attention heads were given, and its configuration says 1" in said


@pytest.mark.parametrize(
    ("part", "values", "what"),
    [
        ("model", {"activation_fn": "relu_squared"}, "activation_fn is 'relu_squared'"),
        ("model", {"layer_type": "trf_adp"}, "layer_type is 'trf_adp'"),
        ("model", {"pos_conv_depth": 0}, "pos_conv_depth is 0"),
        ("model", {"extractor_mode": "instance"}, "extractor_mode is 'instance'"),
        ("model", {"attention_window": 40}, "fields that daisy does not know: attention_window (40)"),
        ("model", {"_name": "my_model"}, "a fairseq model of the kind 'my_model'"),
        ("model", {"_name": "hubert_ctc"}, "a fine-tuned model (hubert_ctc) without w2v_args"),
        ("model", {"_name": "data2vec_multi"}, "it is data2vec of a later version"),
        ("task", {"sample_rate": 8000}, "sample_rate is 8000"),
        ("task", {"preemphasis": 0.97}, "does not know: preemphasis (0.97)"),
    ],
)
def test_settings_of_fairseq_that_are_not_computed(tmp_path, part, values, what):
    checkpoint = large_shaped()
    config = {"model": {}, "task": {}, **checkpoint.fairseq_config}
    config[part] = {**config[part], **values}
    assert what in refusal(fairseq_file(checkpoint, tmp_path / "model.pt", cfg=config))
    off = {**config, part: {**checkpoint.fairseq_config[part], "unheard_of": None, "unknown": False}}
    load(fairseq_file(checkpoint, tmp_path / "off.pt", cfg=off))


@pytest.mark.parametrize(
    ("file", "values", "what"),
    [
        ("config.json", {"hidden_act": "mish"}, "activation_fn is 'mish'"),
        ("config.json", {"feat_extract_activation": "relu"}, "feat_extract_activation is 'relu'"),
        ("config.json", {"adapter_attn_dim": 16}, "adapter_attn_dim is 16"),
        ("config.json", {"feat_extract_norm": "batch"}, "feat_extract_norm is 'batch'"),
        ("config.json", {"conv_stride": [5, 2]}, "different numbers of convolutions"),
        ("config.json", {"rope_theta": 10000}, "does not know: rope_theta (10000)"),
        ("config.json", {"model_type": "wav2vec2-conformer"}, "'wav2vec2-conformer' (wav2vec 2.0 with a conformer)"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "sampling_rate is 8000"),
        ("preprocessor_config.json", {"feature_extractor_type": "Whisper"}, "feature_extractor_type is"),
        ("preprocessor_config.json", {"dither": 0.1}, "does not know: dither (0.1)"),
    ],
)
def test_settings_of_transformers_that_are_not_computed(tmp_path, file, values, what):
    shutil.copytree(CASES / "tf_eps", tmp_path / "model")
    path = tmp_path / "model" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    assert what in refusal(tmp_path / "model")


def test_normalisation_is_on_where_an_extractor_does_not_say(tmp_path):
    shutil.copytree(CASES / "tf_eps", tmp_path / "model")
    path = tmp_path / "model/preprocessor_config.json"
    path.write_text('{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}')
    assert load(tmp_path / "model").encoder.config.normalize
    path.unlink()
    assert not load(tmp_path / "model").encoder.config.normalize  # as fairseq has it for a front end with group norm


def test_fields_of_published_folders_that_change_nothing(tmp_path):
    shutil.copytree(CASES / "tf_eps", tmp_path / "model")
    path = tmp_path / "model/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"freeze_feat_extract_train": True, "replace_prob": 0.5}))
    load(tmp_path / "model")


def test_a_folder_of_ours_whose_files_contradict_one_another(tmp_path):
    save(tmp_path / "model", large_shaped(), "transformers")
    assert {oct(file.stat().st_mode) for file in (tmp_path / "model").iterdir()} == {"0o100644"}
    path = tmp_path / "model/preprocessor_config.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "do_normalize": not told["do_normalize"]}))
    assert "differ in whether waveforms are normalised" in refusal(tmp_path / "model")
    path.unlink()
    load(tmp_path / "model")


def test_no_field_is_in_two_parts():
    for table in (FAIRSEQ, TASK, TRANSFORMERS, EXTRACTOR):
        inert = {name for names in table.inert.values() for name in names}
        assert not set(table.followed) & set(table.fixed) and not inert & {*table.followed, *table.fixed}


def test_settings_survive_every_format(tmp_path):
    for name in ("fs_relu.pt", "tf_eps"):
        wanted = load(CASES / name)
        for form in ("safetensors", "transformers"):
            save(tmp_path / f"{name}-{form}", wanted, form)
            assert load(tmp_path / f"{name}-{form}").encoder.config == wanted.encoder.config


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.example/spec/v1\noid sha256:aa\nsize 3\n", "a Git-LFS pointer"),
        (b"<!DOCTYPE html>\n<html></html>", "a web page"),
        (gzip.compress(b"x" * 100, mtime=0), "a gzip archive"),
        (b'{"model_type": "hubert"}', "JSON, not a checkpoint"),
        (b"hubert_base_ls960.pt\n", "a text, not a checkpoint"),
        (b"GGUF\3\0\0\0" + b"\0" * 64, "a GGUF file"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "an HDF5 file"),
        (b"fLaC\0\0\0\x22" + b"\0" * 64, "a recording"),
        (b"\x08\x08\x12\x07pytorch" + b"\0" * 64, "an ONNX model"),
    ],
)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_other_files_are_told(tmp_path, content, what, name):
    (tmp_path / name).write_bytes(content)
    assert f"it is {what}" in refusal(tmp_path / name)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_archives_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with tarfile.open(tmp_path / "model.nemo", "w") as file:
        file.add(tmp_path / "a.txt", "a.txt")
    assert "a tar archive" in refusal(tmp_path / "model.nemo")
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
        file.writestr("hubert/model.bin", "x")
    assert "a zip archive (hubert/model.bin)" in refusal(tmp_path / "model.pt")
    np.savez(tmp_path / "model.npz", a=np.zeros(2))
    assert "a numpy archive" in refusal(tmp_path / "model.npz")
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "script.pt")
    assert "a TorchScript archive" in refusal(tmp_path / "script.pt")


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["encoder.transformer.layers.0.attention.gru_rel_pos_linear.weight"], "WavLM"),
        (["encoder.blocks.0.attn.query.weight", "decoder.blocks.0.attn.query.weight"], "such as Whisper"),
        (["embeddings.word_embeddings.weight"], "a language model"),
        (["feature_extractor.conv0.weight"], "a soft HuBERT"),
        (["encoder_frontend.feature_extractor.layers.0.conv.weight"], "fairseq2"),
        (["module.feature_extractor.conv_layers.0.0.weight"], "fairseq's weights without their config"),
        (["feature_extractor.conv_layers.0.conv.weight", "feature_projection.layer_norm.weight"], "config.json"),
    ],
)
@pytest.mark.parametrize("form", ["pt", "safetensors"])
def test_weights_of_something_else(tmp_path, names, what, form):
    state = {name: torch.zeros(2, 2) for name in names}
    if form == "pt":
        torch.save(state, tmp_path / "model.pt")
    else:
        safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    assert what in refusal(tmp_path / f"model.{form}")


def test_more_weights_in_the_layers_than_a_hubert_has(tmp_path):
    checkpoint = large_shaped()
    state = state_dict(checkpoint) | {"encoder.layers.1.gate.weight": torch.zeros(2)}
    assert "encoder.layers.1.gate.weight is none of its encoder's weights" in refusal(
        fairseq_file(checkpoint, tmp_path / "model.pt", model=state)
    )
    other = torchaudio_state(checkpoint) | {"encoder.transformer.layers.0.attention.scale": torch.zeros(2)}
    torch.save(other, tmp_path / "other.pt")
    assert "attention.scale is none of its encoder's weights" in refusal(tmp_path / "other.pt", heads=1)


def test_files_from_before_the_zip_format(tmp_path):
    checkpoint = large_shaped()
    content = torch.load(fairseq_file(checkpoint, tmp_path / "new.pt"), weights_only=True)
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert_same(checkpoint, load(tmp_path / "old.pt"))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("model_cfg", "layer_norm_first", "no"),
        ("model_cfg", "conv_bias", "false"),
        ("task_cfg", "normalize", "false"),
        ("model_cfg", "layer_norm_eps", -1.0),
        ("model_cfg", "layer_norm_eps", float("nan")),
        ("model_cfg", "conv_feature_layers", "[(1,1,1)] * 1000000000000"),
    ],
)
def test_settings_that_nobody_can_follow(tmp_path, part, name, value):
    content = torch.load(GOLDEN / "daisy_tiny_after_norm.pt", weights_only=True)
    content[part][name] = value
    torch.save(content, tmp_path / "x.pt")
    assert f"{name} is" in refusal(tmp_path / "x.pt")


NAME = "encoder.layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("int8", lambda value: value.to(torch.int8)),
        ("complex64", lambda value: value.to(torch.complex64)),
        ("float8_e4m3fn", lambda value: value.to(torch.float8_e4m3fn)),
        ("uint16", lambda value: torch.nn.Parameter(value.to(torch.uint16), False)),
        ("qint8", lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)),
        ("qint8", lambda value: torch.quantize_per_channel(value, *value.new_ones(2, len(value)), 0, torch.qint8)),
        ("sparse", lambda value: value.to_sparse()),
        ("sparse", lambda value: value.to_sparse_csr()),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:.*quantize")
def test_weights_of_kinds_that_are_not_read(tmp_path, kind, change):
    content = torch.load(GOLDEN / "daisy_tiny_after_norm.pt", weights_only=True)
    content["model_weight"][NAME] = change(content["model_weight"][NAME].float())
    torch.save(content, tmp_path / "x.pt")
    assert f"x.pt: the weight {NAME} is stored as {kind}, and only float64," in refusal(tmp_path / "x.pt")


@pytest.mark.parametrize("kind", ["int8", "float8_e4m3fn"])
def test_kinds_in_a_header(tmp_path, kind):
    save(tmp_path / "x.safetensors", large_shaped(), "safetensors")
    state = safetensors.torch.load_file(tmp_path / "x.safetensors")
    with safetensors.safe_open(tmp_path / "x.safetensors", "pt") as file:
        metadata = file.metadata()
    state[NAME] = state[NAME].to(getattr(torch, kind))
    safetensors.torch.save_file(state, tmp_path / "x.safetensors", metadata)
    assert f"the weight {NAME} is stored as {kind.removesuffix('fn')}, and" in refusal(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (None, "where its weights belong is nothing"),
        ({}, "where its weights belong is nothing"),
        ([torch.zeros(2)], "where its weights belong is an object of the kind list"),
        ({NAME: None}, f"{NAME}, among its weights, is no tensor but nothing"),
        ({NAME: [1.0]}, f"{NAME}, among its weights, is no tensor but an object of the kind list"),
        ({f"{NAME}._packed_params": torch.zeros(2)}, "a model whose weights were quantised"),
    ],
)
def test_weights_that_are_none(tmp_path, weights, what):
    content = torch.load(GOLDEN / "daisy_tiny_after_norm.pt", weights_only=True)
    if isinstance(weights, dict) and weights:
        weights = content["model_weight"] | weights
    torch.save(content | {"model_weight": weights}, tmp_path / "x.pt")
    assert what in refusal(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_cfg": "base"}, "model_cfg in it is not values by their names"),
        ({"task_cfg": 5}, "task_cfg in it is not values by their names"),
        ({"daisy": 5}, "daisy in it is not values by their names"),
        ({"dictionaries_symbols": 5}, "dictionaries_symbols in it is not a list of lists"),
        ({"model_cfg": {"encoder_layers": "six"}}, "encoder_layers is 'six'. Correct the checkpoint's"),
        ({"model_cfg": {"layer_norm_eps": None}}, "layer_norm_eps is None. Correct the checkpoint's"),
        ({"model_weight": {5: torch.zeros(2)}}, "among its weights' names is 5, which is no text"),
    ],
)
def test_a_published_file_of_other_kinds_of_values(tmp_path, changes, what):
    content = torch.load(GOLDEN / "daisy_tiny_after_norm.pt", weights_only=True)
    merged = {name: {**content[name], **value} if isinstance(value, dict) else value for name, value in changes.items()}
    torch.save(content | merged, tmp_path / "x.pt")
    assert what in refusal(tmp_path / "x.pt")


def test_a_published_file_of_a_model_in_a_wrapper(tmp_path):
    content = torch.load(GOLDEN / "daisy_tiny_after_norm.pt", weights_only=True)
    wrapped = {f"_orig_mod.module.{name}": value for name, value in content["model_weight"].items()}
    torch.save(content | {"model_weight": wrapped}, tmp_path / "x.pt")
    assert_same(load(GOLDEN / "daisy_tiny_after_norm.pt"), load(tmp_path / "x.pt"))


def test_a_whole_model_is_told(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    assert "it is a whole model with its classes, as torch.save(model) writes it" in refusal(tmp_path / "x.pt")
