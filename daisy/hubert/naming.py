"""What torchaudio and transformers call HuBERT's parts, and how their files tell the model's shape.

Inside the project every weight has fairseq's name and every shape fairseq's configuration; this module
translates at the border. Sources: `torchaudio.models.wav2vec2` and `transformers.HubertModel`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from torch import Tensor

from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig

Peer = Literal["torchaudio", "transformers"]
"""Whose names a state dict has."""

_PLACES: dict[Peer, dict[str, str]] = {
    "torchaudio": {"projection": "encoder.feature_projection.", "transformer": "encoder.transformer."},
    "transformers": {"projection": "feature_projection.", "transformer": "encoder."},
}
"""Where the two libraries keep the same modules."""

_LAYER = {
    **{f"self_attn.{name}_proj": f"attention.{name}_proj" for name in ("k", "v", "q", "out")},
    "self_attn_layer_norm": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "final_layer_norm": "final_layer_norm",
}
"""Parts of a transformer layer: fairseq's name and the one that torchaudio and transformers share."""

_PREFIXES = ("wav2vec2.", "hubert.")
"""Before the names where the encoder is part of a larger model (pre-training, CTC)."""

MASK_EMBEDDING: dict[Peer, str] = {
    "torchaudio": "mask_generator.mask_embedding",
    "transformers": "masked_spec_embed",
}
"""The vector that pre-training puts in place of masked frames; fairseq's `mask_emb`."""

_HEAD = {
    "logit_generator.label_embeddings": "label_embs_concat",
    "logit_generator.final_proj.weight": "final_proj.weight",
    "logit_generator.final_proj.bias": "final_proj.bias",
}
"""torchaudio's pre-training head."""

_STRIDES = {10: 5, 3: 2, 2: 2}
"""The stride of a convolution by its kernel, in every published HuBERT; weights alone do not tell it."""


def modules(config: HubertConfig, peer: Peer) -> Iterator[tuple[str, str]]:
    """Every module with weights: fairseq's name and the peer's."""
    place = _PLACES[peer]
    for i in range(len(config.conv_layers)):
        own, other = f"feature_extractor.conv_layers.{i}.", f"feature_extractor.conv_layers.{i}."
        yield own + "0", other + "conv"
        if config.layer_norm_front_end:
            yield own + "2.1", other + "layer_norm"
        elif i == 0:
            yield own + "2", other + "layer_norm"
    yield "layer_norm", place["projection"] + "layer_norm"
    yield "post_extract_proj", place["projection"] + "projection"
    yield "encoder.pos_conv.0", place["transformer"] + "pos_conv_embed.conv"
    yield "encoder.layer_norm", place["transformer"] + "layer_norm"
    for i in range(config.layers):
        for own, other in _LAYER.items():
            yield f"encoder.layers.{i}.{own}", f"{place['transformer']}layers.{i}.{other}"


def recognise(names: Mapping[str, Any]) -> Peer | None:
    """Whose names these are; None if nobody's."""
    plain = strip(names)
    if "encoder.feature_projection.layer_norm.weight" in plain:
        return "torchaudio"
    return "transformers" if "feature_projection.layer_norm.weight" in plain else None


def strip(state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` without the prefix of a larger model."""
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in state):
            return {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def to_fairseq(state: Mapping[str, Tensor], config: HubertConfig, peer: Peer) -> dict[str, Tensor]:
    """A peer's state dict under fairseq's names; what the encoder and its head do not need is left out.

    Raises:
        KeyError: with the peer's name, if a weight is missing.
    """
    state = strip(state)
    result: dict[str, Tensor] = {}
    for own, other in modules(config, peer):
        if own == "encoder.pos_conv.0":
            found = {name: value for name, value in state.items() if name.startswith(other + ".")}
            result |= {name.replace(other, own, 1): value for name, value in found.items()}
            continue
        if own == "post_extract_proj" and config.conv_layers[-1][0] == config.dim:
            _check_identity(state[f"{other}.weight"], state[f"{other}.bias"])
            continue
        result[f"{own}.weight"] = state[f"{other}.weight"]
        if "conv_layers" not in own or config.conv_bias or not own.endswith(".0"):
            result[f"{own}.bias"] = state[f"{other}.bias"]
    if MASK_EMBEDDING[peer] in state:
        result["mask_emb"] = state[MASK_EMBEDDING[peer]]
    for other, own in _HEAD.items():
        if other in state:
            result[own] = state[other]
    return result


def _check_identity(weight: Tensor, bias: Tensor) -> None:
    """fairseq has no projection between equal widths, so that only one that does nothing can be read."""
    if weight.ndim != 2 or not (weight == weight.new_ones(len(weight)).diag()).all() or bias.any():
        raise ValueError("it projects the front end's output to the same width, which fairseq's HuBERT does not")


def from_fairseq_names(state: Mapping[str, Tensor], config: HubertConfig, peer: Peer) -> dict[str, Tensor]:
    """The reverse of `to_fairseq`, for a state dict whose positional convolution has its weight norm."""
    places = dict(modules(config, peer))
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        own = next((place for place in places if name.startswith(place + ".")), None)
        if own is not None:
            result[places[own] + name[len(own) :]] = value
    if config.conv_layers[-1][0] == config.dim:
        weight = state["layer_norm.weight"]
        other = places["post_extract_proj"]
        result |= {f"{other}.weight": weight.new_ones(config.dim).diag(), f"{other}.bias": weight.new_zeros(config.dim)}
    if "mask_emb" in state:
        result[MASK_EMBEDDING[peer]] = state["mask_emb"]
    return result


def torchaudio_configuration(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """fairseq's configuration of a torchaudio state dict, which has none of its own.

    Widths and depths are read from the weights. Strides, heads and the place of the layer norms are not
    in them: they are taken as in the models that torchaudio publishes (`HUBERT_BASE`, `_LARGE`, `_XLARGE`).

    Raises:
        DaisyError: if the convolutions are none that HuBERT has.
        KeyError: if a weight is missing.
    """
    state = strip(state)
    front = "feature_extractor.conv_layers.{}.conv.weight"
    shapes: list[tuple[int, ...]] = []
    while front.format(len(shapes)) in state:
        shapes.append(tuple(state[front.format(len(shapes))].shape))
    unknown = [kernel for _, _, kernel in shapes if kernel not in _STRIDES]
    if unknown or not shapes:
        raise DaisyError(
            f"a convolution with the kernel {unknown[0]}, whose stride the weights do not tell"
            if unknown
            else "no convolutions",
            fix="Convert the model with daisy from a format that has a configuration",
        )
    dim = len(state["encoder.feature_projection.projection.weight"])
    large = "feature_extractor.conv_layers.1.layer_norm.weight" in state
    kernel = _first(state, "encoder.transformer.pos_conv_embed.conv.", ("weight_v", "original1", "weight"))
    model = {
        "conv_feature_layers": str([(width, size, _STRIDES[size]) for width, _, size in shapes]),
        "conv_bias": front.format(0).replace("weight", "bias") in state,
        "extractor_mode": "layer_norm" if large else "default",
        "encoder_embed_dim": dim,
        "encoder_ffn_embed_dim": len(state["encoder.transformer.layers.0.feed_forward.intermediate_dense.weight"]),
        "encoder_attention_heads": 16 if dim == 1280 else max(1, dim // 64),
        "encoder_layers": layer_count(state, "encoder.transformer.layers."),
        "conv_pos": kernel.shape[2],
        "conv_pos_groups": dim // kernel.shape[1],
        "layer_norm_first": large,
    }
    return {"model": model, "task": {"normalize": large}}


def _first(state: Mapping[str, Tensor], prefix: str, endings: tuple[str, ...]) -> Tensor:
    for ending in endings:
        for name, value in state.items():
            if name.startswith(prefix) and name.endswith(ending):
                return value
    raise KeyError(prefix + endings[0])


def layer_count(state: Mapping[str, Any], prefix: str = "encoder.layers.") -> int:
    """How many transformer layers the weights hold."""
    found = {int(match[1]) for name in state if (match := re.match(re.escape(prefix) + r"(\d+)\.", name))}
    return max(found, default=-1) + 1


def transformers_configuration(config: Mapping[str, Any], *, normalize: bool | None) -> dict[str, Any]:
    """fairseq's configuration of a transformers HuBERT.

    Args:
        config: The content of ``config.json``; what it leaves out takes transformers' defaults.
        normalize: ``do_normalize`` of the feature extractor's file; None if there is none, and then as in
            fairseq's models: normalised where the front end has layer norms.

    Raises:
        DaisyError: if the model is of another kind, or has a part that HuBERT does not have.
    """
    kind = config.get("model_type")
    if kind != "hubert":
        raise DaisyError(f"model_type is {kind!r}", fix="Use a model whose type is 'hubert'")
    for key, usual in (
        ("hidden_act", "gelu"),
        ("feat_extract_activation", "gelu"),
        ("feat_proj_layer_norm", True),
        ("conv_pos_batch_norm", False),
    ):
        if config.get(key, usual) != usual:
            raise DaisyError(f"{key} is {config[key]!r}, and only {usual!r} is known", fix="Use another HuBERT")
    large = config.get("feat_extract_norm", "group") == "layer"
    widths = config.get("conv_dim", [512] * 7)
    kernels = config.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2])
    strides = config.get("conv_stride", [5, 2, 2, 2, 2, 2, 2])
    model = {
        "conv_feature_layers": str(list(zip(widths, kernels, strides, strict=True))),
        "conv_bias": config.get("conv_bias", False),
        "extractor_mode": "layer_norm" if large else "default",
        "encoder_embed_dim": config.get("hidden_size", 768),
        "encoder_ffn_embed_dim": config.get("intermediate_size", 3072),
        "encoder_attention_heads": config.get("num_attention_heads", 12),
        "encoder_layers": config.get("num_hidden_layers", 12),
        "conv_pos": config.get("num_conv_pos_embeddings", 128),
        "conv_pos_groups": config.get("num_conv_pos_embedding_groups", 16),
        "layer_norm_first": config.get("do_stable_layer_norm", False),
    }
    return {"model": model, "task": {"normalize": large if normalize is None else normalize}}


def transformers_config(config: HubertConfig, *, masks: bool) -> dict[str, Any]:
    """``config.json`` of a HuBERT of this shape; `masks` tells whether it has an embedding of masked frames."""
    widths, kernels, strides = (list(values) for values in zip(*config.conv_layers, strict=True))
    return {
        "architectures": ["HubertModel"],
        "model_type": "hubert",
        "torch_dtype": "float32",
        "hidden_size": config.dim,
        "intermediate_size": config.ffn_dim,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "conv_dim": widths,
        "conv_kernel": kernels,
        "conv_stride": strides,
        "num_feat_extract_layers": len(widths),
        "conv_bias": config.conv_bias,
        "feat_extract_norm": "layer" if config.layer_norm_front_end else "group",
        "feat_proj_layer_norm": True,
        "num_conv_pos_embeddings": config.pos_kernel,
        "num_conv_pos_embedding_groups": config.pos_groups,
        "do_stable_layer_norm": config.pre_norm,
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "layer_norm_eps": 1e-5,
        "mask_time_prob": 0.05 if masks else 0.0,
        "mask_feature_prob": 0.0,
    }
