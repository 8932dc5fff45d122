"""HuBERT's kin against transformers, fairseq and their own files' layout: every state, single and in padded batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from daisy.common import audio
from daisy.common.torchaudio_shim import torchaudio  # noqa: F401  (before transformers, which imports torchaudio too)
from daisy.hubert.checkpoint import Checkpoint, load, save
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.hubert.encoder import Padding

from transformers import (  # isort: skip
    AutoModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-4
LAYERS = 3
LENGTHS = (30_000, 20_000, 12_345)

BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
SMALL = {"hidden_size": 96, "num_attention_heads": 6, "intermediate_size": 192, "conv_dim": [32] * 7}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}

SHAPES: dict[str, tuple[type, type, dict[str, Any], bool]] = {
    "wav2vec 2.0 Base": (Wav2Vec2Config, Wav2Vec2Model, BASE, False),
    "wav2vec 2.0 Large": (Wav2Vec2Config, Wav2Vec2Model, {**SMALL, "num_conv_pos_embeddings": 128}, False),
    "wav2vec 2.0 Large LV-60": (Wav2Vec2Config, Wav2Vec2Model, {**SMALL, **STABLE, "conv_bias": True}, True),
    "XLS-R 1B": (
        Wav2Vec2Config,
        Wav2Vec2Model,
        {**SMALL, **STABLE, "conv_bias": True, "hidden_size": 160, "num_attention_heads": 2},
        True,
    ),
    "WavLM Base": (WavLMConfig, WavLMModel, BASE, False),
    "WavLM Large": (WavLMConfig, WavLMModel, {**SMALL, **STABLE}, True),
    "WavLM of few distances": (
        WavLMConfig,
        WavLMModel,
        {**SMALL, "num_buckets": 20, "max_bucket_distance": 30},
        False,
    ),
    "data2vec Base": (Data2VecAudioConfig, Data2VecAudioModel, BASE, True),
    "data2vec Large": (Data2VecAudioConfig, Data2VecAudioModel, SMALL, True),
    "DistilHuBERT": (HubertConfig, HubertModel, {**BASE, "feat_proj_layer_norm": False, "num_hidden_layers": 2}, False),
}
"""By what is published: the classes, what is not their default, and whether the waveform is normalised. At the width of
Base once for each kind, and narrower otherwise; of three layers where a shape has not its own number."""


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Biases, norms and gates, which start at 0 and 1, where a mix-up would not show, and distances that count."""
    torch.manual_seed(12)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or "gru_rel_pos" in name:
                parameter += 0.1 * torch.randn_like(parameter)
            elif "rel_attn_embed" in name:
                parameter += torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(scope="module", params=SHAPES)
def model(request, tmp_path_factory):
    """The shape's name, transformers' model and its folder."""
    torch.manual_seed(11)
    config, build, settings, normalize = SHAPES[request.param]
    made = shaken(build(config(**{"num_hidden_layers": LAYERS, **settings})))
    folder = tmp_path_factory.mktemp("model")
    made.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return request.param, made, folder


@pytest.fixture(scope="module")
def waves() -> list[Tensor]:
    return [audio.read(path)[:length] for path, length in zip(sorted(GOLDEN.glob("*.wav")), LENGTHS, strict=False)]


def ours(checkpoint: Checkpoint, waves: list[Tensor], padding: Padding = "exact") -> list[Tensor]:
    """(K + 1, T, D) for each recording of a batch: what enters layer 1, then what leaves each layer."""
    last = checkpoint.encoder.config.layers
    found = EarlyExitHubert(checkpoint).run(waves, candidates=[last], padding=padding, states="s3prl")
    return [item.states for item in found]


def prepared(waves: list[Tensor], normalize: bool) -> list[Tensor]:
    return [torch.nn.functional.layer_norm(wave, wave.shape) if normalize else wave for wave in waves]


@torch.no_grad()
def theirs(model: torch.nn.Module, source: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, K + 1, T, D)."""
    found = model(source, attention_mask=mask, output_hidden_states=True)
    return torch.stack([*found.hidden_states[:-1], found.last_hidden_state], 1)


def check(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < TOLERANCE


def test_single(model, waves):
    name, made, folder = model
    sources = prepared(waves, SHAPES[name][3])
    for source, states in zip(sources, ours(load(folder), waves), strict=True):
        check(states, theirs(made, source[None])[0])


def test_padded_batch(model, waves):
    """With the padding that transformers' padded batches see; in data2vec the positional convolutions see it, too."""
    name, made, folder = model
    source = torch.nn.utils.rnn.pad_sequence(prepared(waves, SHAPES[name][3]), batch_first=True)
    mask = (torch.arange(source.shape[1])[None] < torch.tensor([len(wave) for wave in waves])[:, None]).long()
    wanted = theirs(made, source, mask)
    for row, states in enumerate(ours(load(folder), waves, "formula")):
        check(states, wanted[row, :, : states.shape[1]])


def test_written_folder(model, waves, tmp_path):
    """What is written loads there, and gives the same."""
    name, made, folder = model
    save(tmp_path / "folder", load(folder), "transformers")
    again, report = AutoModel.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert type(again) is type(made) and not report["missing_keys"] and not report["unexpected_keys"]
    source = prepared(waves[:1], SHAPES[name][3])[0]
    check(theirs(again.eval(), source[None]), theirs(made, source[None]))


def test_every_distance_has_transformers_bucket():
    from transformers.models.wavlm.modeling_wavlm import WavLMAttention

    from daisy.hubert.relative import bucket

    distances = torch.arange(-3000, 3001)
    for buckets, furthest in ((320, 800), (320, 1280), (20, 30), (32, 128)):
        attention = WavLMAttention(8, 1, num_buckets=buckets, max_distance=furthest)
        wanted = attention._relative_positions_bucket(distances).tolist()
        assert [bucket(distance, buckets, furthest) for distance in distances.tolist()] == wanted


CONVOLUTIONS = "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2"
FAIRSEQ = {
    "wav2vec2": {},
    "wav2vec2 of layer norms": {"extractor_mode": "layer_norm", "layer_norm_first": True, "conv_bias": True},
    "data2vec_audio": {"extractor_mode": "layer_norm", "conv_pos": 95, "pos_conv_depth": 5},
    "data2vec_audio of group norm": {"conv_pos": 40, "pos_conv_depth": 4, "layer_norm_first": True},
}


@pytest.fixture(scope="module", params=FAIRSEQ)
def of_fairseq(request, tmp_path_factory):
    """fairseq's model, its file as its trainer writes it, and whether it normalises."""
    from fairseq.examples.data2vec.models.data2vec_audio import Data2VecAudioConfig as Data2Vec
    from fairseq.examples.data2vec.models.data2vec_audio import Data2VecAudioModel
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config as Wav2Vec2
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Model as Model
    from omegaconf import OmegaConf

    kind, normalize = request.param.split(" ")[0], request.param != "wav2vec2"
    build, make = (Wav2Vec2, Model) if kind == "wav2vec2" else (Data2Vec, Data2VecAudioModel)
    shape = {"encoder_embed_dim": 96, "encoder_ffn_embed_dim": 192, "encoder_attention_heads": 6, "final_dim": 8}
    given = {**shape, "encoder_layers": LAYERS, "conv_feature_layers": CONVOLUTIONS, "quantize_targets": True}
    torch.manual_seed(7)
    config = OmegaConf.structured(build(**{**given, **FAIRSEQ[request.param]}))
    if kind == "data2vec_audio":
        config.ema_anneal_end_step = config.max_update = 10  # which refer to the trainer's settings
    made = make(config)
    if kind == "data2vec_audio":
        made.make_ema_teacher()  # which the file then has, too
    plain = {"model": {"_name": kind, **OmegaConf.to_container(config, enum_to_str=True)}}
    plain["task"] = {"_name": "audio_pretraining", "normalize": normalize, "sample_rate": 16_000}
    path = tmp_path_factory.mktemp("fairseq") / "model.pt"
    torch.save({"args": None, "cfg": plain, "model": shaken(made).state_dict()}, path)
    return made, path, normalize


@torch.no_grad()
def of_layers(model: torch.nn.Module, source: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """(B, K, T, D) of the layers' outputs, and which frames are padding."""
    found = model.extract_features(source=source, padding_mask=mask, mask=False)
    states = [layer[0].transpose(0, 1)[:, : found["x"].shape[1]] for layer in found["layer_results"]]
    return torch.stack(states, 1), found["padding_mask"]


def test_fairseq(of_fairseq, waves):
    model, path, normalize = of_fairseq
    for source, states in zip(prepared(waves, normalize), ours(load(path), waves), strict=True):
        wanted = of_layers(model, source[None], None)[0][0]
        check(states[1:LAYERS], wanted[:-1])
    source = torch.nn.utils.rnn.pad_sequence(prepared(waves, normalize), batch_first=True)
    mask = torch.arange(source.shape[1])[None] >= torch.tensor([len(wave) for wave in waves])[:, None]
    wanted, padding = of_layers(model, source, mask)
    assert padding is not None
    for row, states in enumerate(ours(load(path), waves, "formula")):
        valid = int((~padding[row]).sum())
        check(states[1:LAYERS], wanted[row, :-1, :valid])
