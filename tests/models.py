"""Models for the tests of checkpoints, and what compares two of them."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import torch

from daisy.exits.calibration import Calibration
from daisy.hubert.checkpoint import Checkpoint, PretrainingHead, state_dict
from daisy.hubert.config import HubertConfig
from daisy.hubert.encoder import Hubert
from daisy.hubert.formats.complete import encoder_weights

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


def fairseq_file(checkpoint: Checkpoint, path: Path, **more: object) -> Path:
    """As fairseq's trainer writes it."""
    state = {name: value for name, value in state_dict(checkpoint).items() if not name.startswith("final_proj")}
    content = {"args": None, "cfg": checkpoint.fairseq_config, "model": state, "extra_state": {}}
    torch.save({**content, **more}, path)
    return path


def settings_of(shape: HubertConfig) -> dict[str, dict[str, object]]:
    """fairseq's configuration of a shape, or WavLM's in its place."""
    model: dict[str, object] = {
        "conv_feature_layers": str(list(shape.conv_layers)),
        "extractor_mode": "layer_norm" if shape.layer_norm_front_end else "default",
        **{"conv_bias": shape.conv_bias, "layer_norm_first": shape.pre_norm, "encoder_layers": shape.layers},
        **{"encoder_embed_dim": shape.dim, "encoder_ffn_embed_dim": shape.ffn_dim},
        **{"encoder_attention_heads": shape.heads, "conv_pos_groups": shape.pos_groups},
        **{"conv_pos": shape.pos_kernel * shape.pos_depth, "pos_conv_depth": shape.pos_depth},
    }
    if shape.buckets:
        model |= {"relative_position_embedding": True, "gru_rel_pos": True}
        model |= {"num_buckets": shape.buckets, "max_distance": shape.furthest}
    if not shape.feature_norm:
        model["feat_proj_layer_norm"] = False
    return {"model": model, "task": {"normalize": shape.normalize}}


def header_of(shape: HubertConfig, path: Path) -> Path:
    """A safetensors file of a model of any shape, whose weights are a hole that takes no disk."""
    entries: dict[str, object] = {}
    end = 0
    for name, size in encoder_weights({}, shape):
        begin, end = end, end + 4 * math.prod(size)
        entries[name] = {"dtype": "F32", "shape": list(size), "data_offsets": [begin, end]}
    entries["__metadata__"] = {"fairseq_config": json.dumps(settings_of(shape))}
    header = json.dumps(entries).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)
    return path


def drawn(config: HubertConfig) -> Hubert:
    """An encoder with random weights, the same every time."""
    torch.manual_seed(0)
    encoder = Hubert(config).eval().requires_grad_(False)
    for parameter in encoder.parameters():  # biases and norms start at 0 and 1, where a mix-up would not show
        if parameter.ndim == 1:
            parameter += 0.1 * torch.randn_like(parameter)
    return encoder


def assert_as_near_as_torch(
    encoder: Hubert, waves: Sequence[torch.Tensor], way: str, by_torch: contextlib.AbstractContextManager[object]
) -> None:
    """Products in bfloat16, by autocast or by weights, come as near to float32 as torch's modules within `by_torch`."""
    exact = encoder.output(waves, 1).states
    if way == "weights":
        encoder.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        ours = encoder.output(waves, 1).states
        with by_torch:
            theirs = encoder.output(waves, 1).states
    assert ours.dtype == (torch.float32 if way == "autocast" else torch.bfloat16)
    error, their_error = ((x.float() - exact).square().mean().sqrt() for x in (ours, theirs))
    assert 0 < error < 1.5 * their_error < 0.1 * exact.square().mean().sqrt()
