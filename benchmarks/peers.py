"""Other implementations of HuBERT, with the weights of ours.

A package that is not installed gives no peer; the caller says so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daisy.common.torchaudio_shim import torchaudio  # before transformers and fairseq, which import torchaudio too
from daisy.hubert.checkpoint import Checkpoint, save, state_dict
from daisy.hubert.formats.torchaudio import NAMES

PACKAGES = ("torchaudio", "transformers", "fairseq")
"""What the peers are installed as."""

Forward = Callable[[Tensor], Tensor]
"""(B, N) recordings of one length to the last layer's output (B, T, D)."""


def present(packages: tuple[str, ...] = PACKAGES) -> list[str]:
    """The packages that are installed; says loudly which are not."""
    found = [name for name in packages if importlib.util.find_spec(name) is not None]
    for name in packages:
        if name not in found:
            print(f"NOT MEASURED: {name} is not installed (make bench installs it into .venv-peers)", flush=True)
    return found


def torchaudio_model(model: Checkpoint) -> nn.Module:
    """torchaudio's HuBERT."""
    shape = model.encoder.config
    built = torchaudio.models.wav2vec2_model(
        "layer_norm" if shape.layer_norm_front_end else "group_norm",
        list(shape.conv_layers),
        shape.conv_bias,
        encoder_embed_dim=shape.dim,
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=shape.pos_kernel,
        encoder_pos_conv_groups=shape.pos_groups,
        encoder_num_layers=shape.layers,
        encoder_num_heads=shape.heads,
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=shape.ffn_dim,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=shape.pre_norm,
        encoder_layer_drop=0.0,
        aux_num_out=None,
    )
    state = NAMES.from_own(_hubert(model), shape)
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    own = built.state_dict()
    for old, new in names.items():
        place = "encoder.transformer.pos_conv_embed.conv."
        if place + old not in own:
            state[place + new] = state.pop(place + old)
    built.load_state_dict({name: state[name] for name in own})
    return _ready(built, model)


def _hubert(model: Checkpoint) -> dict[str, Tensor]:
    return {name: value for name, value in state_dict(model).items() if not name.startswith("final_proj")}


def _ready(built: nn.Module, model: Checkpoint) -> nn.Module:
    return built.eval().requires_grad_(False).to(model.device)


def transformers_model(model: Checkpoint) -> nn.Module:
    """transformers' HuBERT, its attention by torch's own product."""
    from transformers import HubertModel
    from transformers.utils import logging as messages

    messages.set_verbosity_error()
    messages.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "hubert", model, "transformers")
        built = HubertModel.from_pretrained(Path(folder) / "hubert", attn_implementation="sdpa")
    return _ready(built, model)


def fairseq_model(model: Checkpoint) -> nn.Module:
    """fairseq's HuBERT, without its pre-training head."""
    with contextlib.redirect_stderr(None), contextlib.redirect_stdout(None):
        logging.getLogger("fairseq").setLevel(logging.ERROR)
        from fairseq.data import Dictionary
        from fairseq.models.hubert import HubertConfig, HubertModel
        from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

    given: dict[str, Any] = {
        key: value for key, value in model.fairseq_config["model"].items() if key != "cls_pred_position"
    }
    config = HubertConfig(label_rate=50, final_dim=16, **given)
    task = HubertPretrainingConfig(data="unused", labels=["km"], label_rate=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        built = HubertModel(config, task, [Dictionary()])
    built.remove_pretraining_modules()
    lacking, unknown = built.load_state_dict(_hubert(model), strict=False)
    if unknown or any("mask_emb" not in name and "label_embs" not in name for name in lacking):
        raise RuntimeError(f"fairseq's HuBERT has other weights: {lacking}, {unknown}")
    return _ready(built, model)


def forward_of(name: str, built: Any) -> Forward:
    """How a peer is asked for its last layer."""
    if name == "transformers":
        return lambda waves: built(waves).last_hidden_state
    if name == "fairseq":
        return lambda waves: built.extract_features(waves, padding_mask=None, mask=False)[0]
    return lambda waves: built(waves)[0]


BUILD: dict[str, Callable[[Checkpoint], nn.Module]] = {
    "torchaudio": torchaudio_model,
    "transformers": transformers_model,
    "fairseq": fairseq_model,
}


def in_bfloat16(forward: Forward, device: torch.device) -> Forward:
    """A forward pass under torch's automatic mixed precision."""

    def run(waves: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return forward(waves)

    return run
