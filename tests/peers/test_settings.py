"""Every setting of fairseq's and transformers' HuBERT: those that daisy follows, and those that it calls inert."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq_files import tiny_fairseq
from torch import Tensor

import daisy
from daisy.common.torchaudio_shim import torchaudio  # noqa: F401  (before transformers, which imports torchaudio too)
from daisy.hubert.formats.fields import EXTRACTOR, FAIRSEQ, TASK, TRANSFORMERS

from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor  # isort: skip

TOLERANCE = 2e-5
SHAPE: dict[str, Any] = {
    **{"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96},
    **{"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "conv_dim": [32] * 7},
}


@pytest.fixture(scope="module")
def wave() -> Tensor:
    torch.manual_seed(0)
    return 0.1 * torch.randn(8000) + 0.05


def random(model: torch.nn.Module) -> None:
    """Fill biases and norms too, which start at 0 and 1, where a mix-up would not show."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.2 if parameter.ndim == 1 else 0.05) * torch.randn_like(parameter)


def of_transformers(folder: Path, wave: Tensor, normalize: bool = False, **settings: Any) -> list[Tensor]:
    """Write a model, and give what transformers makes of a recording: the outputs of its layers."""
    torch.manual_seed(2)
    model = HubertModel(HubertConfig(**{**SHAPE, **settings}, attn_implementation="eager")).eval()
    random(model)
    model.save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalize)
    extractor.save_pretrained(folder)
    found: list[Tensor] = []
    for layer in model.encoder.layers:
        layer.register_forward_hook(lambda _, __, out: found.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        model(extractor(wave.numpy(), sampling_rate=16_000, return_tensors="pt").input_values)
    return [states.reshape(-1, 48) for states in found]


def difference(path: Path, wave: Tensor, theirs: list[Tensor]) -> float:
    ours = daisy.load(path).all_layers([wave]).features[0]
    assert len(ours) == len(theirs) + 1
    return max(float((states - other).abs().max()) for states, other in zip(ours[1:], theirs, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        *({"hidden_act": name} for name in ("relu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python")),
        *({"hidden_act": name} for name in ("silu", "swish", "tanh", "linear")),
        {"layer_norm_eps": 1e-2},
        {"layer_norm_eps": 1e-2, "do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
        {"do_stable_layer_norm": True},
        {"feat_extract_norm": "layer"},
        {"conv_dim": [16, 48], "conv_kernel": [10, 4], "conv_stride": [8, 3]},
        {"num_conv_pos_embeddings": 15, "num_conv_pos_embedding_groups": 2},
        {"num_attention_heads": 12},
        {"normalize": True},
        {"feat_extract_activation": "gelu_python"},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()),
)
def test_followed_by_transformers(tmp_path, wave, settings):
    if settings.get("conv_dim", [0])[-1] == 48:
        settings = {**settings, "conv_dim": [16, 40]}
    assert difference(tmp_path, wave, of_transformers(tmp_path, wave, **settings)) < TOLERANCE


@pytest.mark.parametrize(
    "settings",
    [
        *({"activation_fn": name} for name in ("relu", "gelu_accurate", "gelu_fast", "tanh", "linear")),
        {"layer_norm_first": True, "extractor_mode": "layer_norm", "conv_bias": True},
        {"layer_norm_first": True},
        {"extractor_mode": "layer_norm"},
        {"conv_feature_layers": "[(16,10,8), (40,4,3)]"},
        {"conv_pos": 15, "conv_pos_groups": 2},
        {"encoder_attention_heads": 12},
        {"normalize": True},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()),
)
def test_followed_by_fairseq(tmp_path, wave, settings):
    path = tmp_path / "model.pt"
    assert difference(path, wave, tiny_fairseq(path, wave, **settings)) < TOLERANCE


def test_every_field_is_in_a_table():
    from fairseq.models.hubert.hubert import HubertConfig as Fairseq
    from fairseq.models.hubert.hubert_asr import HubertCtcConfig
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config
    from fairseq.tasks.audio_finetuning import AudioFinetuningConfig
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

    for table, configs in (
        (FAIRSEQ, (Fairseq, HubertCtcConfig, Wav2Vec2Config)),
        (TASK, (HubertPretrainingConfig, AudioFinetuningConfig)),
    ):
        for config in configs:
            assert {field.name for field in dataclasses.fields(config)} <= table.names
    assert HubertConfig().to_dict().keys() <= TRANSFORMERS.names
    assert Wav2Vec2FeatureExtractor().to_dict().keys() <= EXTRACTOR.names


def changed(value: Any) -> Any:
    """Another value of the same type; None where no other is sure to be taken."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else min(1.0, value + 0.25) if isinstance(value, float) else None


def inert(table: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    names = [name for part in table.inert.values() for name in part if name in defaults]
    return {name: changed(defaults[name]) for name in names if changed(defaults[name]) is not None}


def test_inert_in_transformers(tmp_path, wave):
    settings = inert(TRANSFORMERS, HubertConfig().to_dict())
    for name in ("return_dict", "mask_time_prob", "initializer_range"):  # a call's form, and which weights are fresh
        settings.pop(name, None)
    assert len(settings) > 20
    theirs = of_transformers(tmp_path, wave, **settings)
    assert difference(tmp_path, wave, theirs) < TOLERANCE
    # The same random numbers with and without: the fields make no weights either.
    plain = of_transformers(tmp_path / "plain", wave)
    assert all(torch.equal(one, other) for one, other in zip(plain, theirs, strict=True))


def test_inert_in_fairseq(tmp_path, wave):
    from fairseq.models.hubert.hubert import HubertConfig as Fairseq

    fields = {field.name: field.default for field in dataclasses.fields(Fairseq)}
    settings = {name: value for name, value in inert(FAIRSEQ, fields).items() if name != "checkpoint_activations"}
    assert len(settings) > 20
    theirs = tiny_fairseq(tmp_path / "model.pt", wave, **settings)
    assert difference(tmp_path / "model.pt", wave, theirs) < TOLERANCE
    plain = tiny_fairseq(tmp_path / "plain.pt", wave)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(plain, theirs, strict=True))
