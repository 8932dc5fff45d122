"""Hidden states of every layer against fairseq, torchaudio and transformers, single and in padded batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import daisy
from daisy.common import audio
from daisy.common.torchaudio_shim import torchaudio  # before transformers, which imports torchaudio too
from daisy.hubert.checkpoint import load, save

from transformers import HubertConfig, HubertModel  # isort: skip

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-4
SHAPES = ("base", "large")
LAYERS = 3
"""Base-shaped and Large-shaped, in everything but depth."""


def fairseq_checkpoint(shape: str, path: Path, dtype: torch.dtype = torch.float32):
    """A freshly initialised fairseq model, saved as its trainer does; and the model."""
    from fairseq import checkpoint_utils, tasks
    from fairseq.data import Dictionary
    from fairseq.models.hubert import HubertConfig as Config
    from fairseq.models.hubert import HubertModel as Model
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig, HubertPretrainingTask
    from omegaconf import OmegaConf

    assert checkpoint_utils and tasks
    torch.manual_seed(7)
    large = shape == "large"
    config = Config(
        label_rate=50,
        encoder_layers=LAYERS,
        encoder_embed_dim=1024 if large else 768,
        encoder_ffn_embed_dim=4096 if large else 3072,
        encoder_attention_heads=16 if large else 12,
        extractor_mode="layer_norm" if large else "default",
        layer_norm_first=large,
        final_dim=768 if large else 256,
        untie_final_proj=True,
    )
    task_config = HubertPretrainingConfig(data="unused", labels=["km"], label_rate=50, normalize=large)
    dictionary = Dictionary()
    for number in range(500):
        dictionary.add_symbol(str(number))
    model = Model(config, task_config, [dictionary]).eval()
    for parameter in model.parameters():  # biases and norms start at 0 and 1, where a mix-up would not show
        if parameter.ndim == 1:
            parameter.data += 0.05 * torch.randn_like(parameter)
    task = HubertPretrainingTask(task_config)
    task.state.merge_state_dict({"dictionaries": [dictionary]})
    content = {
        "args": None,
        "cfg": {
            "model": OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True),
            "task": OmegaConf.to_container(OmegaConf.structured(task_config), enum_to_str=True),
        },
        "model": {name: value.to(dtype) for name, value in model.state_dict().items()},
        "criterion": None,
        "optimizer_history": [{"num_updates": 0}],
        "task_state": {"dictionaries": [dictionary]},
        "extra_state": {"metrics": None},
    }
    torch.save(content, path)
    return model


@pytest.fixture(scope="module", params=SHAPES)
def fairseq_model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "hubert.pt"
    return request.param, fairseq_checkpoint(request.param, path), path


@pytest.fixture(scope="module")
def waves() -> list[Tensor]:
    return [audio.read(path) for path in sorted(GOLDEN.glob("*.wav"))][:3]


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return (ours - theirs).abs().max().item()


def fairseq_states(model, source: Tensor, mask: Tensor | None, layer: int) -> tuple[Tensor, Tensor | None]:
    with torch.no_grad():
        found = model.extract_features(source=source, padding_mask=mask, mask=False, output_layer=layer)
    return found[0], found[1]


def normalised(wave: Tensor, shape: str) -> Tensor:
    return torch.nn.functional.layer_norm(wave, wave.shape) if shape == "large" else wave


def test_fairseq_single(fairseq_model, waves):
    shape, model, path = fairseq_model
    ours = daisy.load(path).all_layers(waves).features
    for wave, states in zip(waves, ours, strict=True):
        for k in range(1, LAYERS + 1):
            theirs, _ = fairseq_states(model, normalised(wave, shape)[None], None, k)
            assert difference(states[k], theirs[0]) < TOLERANCE


def test_fairseq_padded_batch(fairseq_model, waves):
    shape, model, path = fairseq_model
    out = daisy.load(path)(waves, padding="published")
    sources = [normalised(wave, shape) for wave in waves]
    source = torch.nn.utils.rnn.pad_sequence(sources, batch_first=True)
    mask = torch.arange(source.shape[1])[None] >= torch.tensor([len(wave) for wave in waves])[:, None]
    for k in range(1, LAYERS + 1):
        theirs, padding = fairseq_states(model, source, mask, k)
        for row, states in enumerate(out.features):
            valid = int((~padding[row]).sum())
            assert difference(states[k], theirs[row, :valid]) < TOLERANCE


def transformers_model(shape: str, tmp_path: Path) -> HubertModel:
    torch.manual_seed(11)
    large = shape == "large"
    config = HubertConfig(
        hidden_size=1024 if large else 768,
        num_hidden_layers=LAYERS,
        num_attention_heads=16 if large else 12,
        intermediate_size=4096 if large else 3072,
        feat_extract_norm="layer" if large else "group",
        conv_bias=large,
        do_stable_layer_norm=large,
        attn_implementation="eager",
    )
    model = HubertModel(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path)
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_transformers(shape, waves, tmp_path):
    model = transformers_model(shape, tmp_path)
    ours = daisy.load(tmp_path).all_layers(waves).features
    for wave, states in zip(waves, ours, strict=True):
        with torch.no_grad():
            theirs = model(normalised(wave, shape)[None], output_hidden_states=True).hidden_states
        # In pre-norm models some versions of transformers norm the last state, and none of fairseq does.
        for k in range(1, LAYERS + (shape == "base")):
            assert difference(states[k], theirs[k][0]) < TOLERANCE


@pytest.mark.parametrize("shape", SHAPES)
def test_transformers_padded_batch(shape, waves, tmp_path):
    model = transformers_model(shape, tmp_path)
    padding = "exact" if shape == "large" else "formula"
    ours = daisy.load(tmp_path)(waves, padding=padding).features
    source = torch.nn.utils.rnn.pad_sequence([normalised(wave, shape) for wave in waves], batch_first=True)
    mask = (torch.arange(source.shape[1])[None] < torch.tensor([len(wave) for wave in waves])[:, None]).long()
    with torch.no_grad():
        theirs = model(source, attention_mask=mask, output_hidden_states=True).hidden_states
    for row, states in enumerate(ours):
        for k in range(1, LAYERS + (shape == "base")):
            assert difference(states[k], theirs[k][row, : states.shape[1]]) < TOLERANCE


@pytest.mark.parametrize("shape", SHAPES)
def test_written_folder_loads_in_transformers(shape, waves, tmp_path):
    """What we write gives in transformers what it gives here, branches or not."""
    fairseq_checkpoint(shape, tmp_path / "hubert.pt")
    checkpoint = load(tmp_path / "hubert.pt")
    save(tmp_path / "folder", checkpoint, "transformers")
    model, report = HubertModel.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    states = daisy.Daisy(checkpoint).all_layers(waves[:1]).features[0]
    with torch.no_grad():
        theirs = model.eval()(normalised(waves[0], shape)[None], output_hidden_states=True).hidden_states
    for k in range(1, LAYERS + (shape == "base")):
        assert difference(states[k], theirs[k][0]) < TOLERANCE


def torchaudio_model(shape: str):
    torch.manual_seed(13)
    large = shape == "large"
    build = torchaudio.models.hubert_large if large else torchaudio.models.hubert_base
    model = build().eval()
    model.encoder.transformer.layers = model.encoder.transformer.layers[:LAYERS]
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_torchaudio(shape, waves, tmp_path):
    model = torchaudio_model(shape)
    torch.save(model.state_dict(), tmp_path / "hubert.pt")
    loaded = daisy.load(tmp_path / "hubert.pt")
    ours = loaded.all_layers(waves).features
    for wave, states in zip(waves, ours, strict=True):
        with torch.no_grad():
            theirs, _ = model.extract_features(normalised(wave, shape)[None])
        for k in range(1, LAYERS + 1):
            assert difference(states[k], theirs[k - 1][0]) < TOLERANCE
    padding = "exact" if shape == "large" else "formula"
    batch = loaded(waves, padding=padding).features
    source = torch.nn.utils.rnn.pad_sequence([normalised(wave, shape) for wave in waves], batch_first=True)
    with torch.no_grad():
        theirs, _ = model.extract_features(source, torch.tensor([len(wave) for wave in waves]))
    for row, states in enumerate(batch):
        for k in range(1, LAYERS + 1):
            assert difference(states[k], theirs[k - 1][row, : states.shape[1]]) < TOLERANCE


def test_half_precision_file_is_computed_in_float32(waves, tmp_path):
    states = []
    for dtype in (torch.float32, torch.float16):
        fairseq_checkpoint("base", tmp_path / "hubert.pt", dtype)
        model = daisy.load(tmp_path / "hubert.pt")
        assert model.dtype == torch.float32
        states.append(model.all_layers(waves[:1]).features[0])
    assert 0 < difference(*states) < 0.1
