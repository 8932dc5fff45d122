"""torchaudio's state dict, of a HuBERT (`torchaudio.models.wav2vec2`) or of its pre-training model; read only.

A torch or safetensors file with nothing but weights, recognised by their names. It has no configuration: widths
and depths are read from the weights. The rest of the constructor's arguments are not in them, and are taken as in the
models that torchaudio publishes (`HUBERT_BASE`, `_LARGE`, `_XLARGE`), as far as those settle them: strides go by the
kernels, and layer norms come first, and waveforms are normalised, where the front end has layer norms. The number of
heads goes by the width, and for a width that none of them has it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.formats.content import Content, Format, layer_count
from daisy.hubert.formats.renaming import Names, without_prefix
from daisy.hubert.formats.source import Source

NAMES = Names(
    projection="encoder.feature_projection.",
    transformer="encoder.transformer.",
    single={
        "mask_emb": "mask_generator.mask_embedding",
        "label_embs_concat": "logit_generator.label_embeddings",
        "final_proj.weight": "logit_generator.final_proj.weight",
        "final_proj.bias": "logit_generator.final_proj.bias",
    },
)

_STRIDES = {10: 5, 3: 2, 2: 2}
"""The stride of a convolution by its kernel, in every published HuBERT; weights alone do not tell it."""

_HEADS = {768: 12, 1024: 16, 1280: 16}
"""Attention heads by width, in the published models."""


def _recognise(source: Source) -> bool:
    return NAMES.used_by(source.weights)


def _read(source: Source) -> Content:
    state = without_prefix(source.weights)
    return Content(state, _configuration(state, source.heads))


def _configuration(state: Mapping[str, Any], heads: int | None) -> dict[str, Any]:
    """fairseq's configuration.

    Raises:
        DaisyError: if the convolutions are none that HuBERT has, or nothing tells the number of heads.
        KeyError: if a weight is missing.
    """
    convolutions = _convolutions(state)
    dim = len(state["encoder.feature_projection.projection.weight"])
    large = "feature_extractor.conv_layers.1.layer_norm.weight" in state
    kernel = _first(state, "encoder.transformer.pos_conv_embed.conv.", ("weight_v", "original1", "weight"))
    model = {
        "conv_feature_layers": str(convolutions),
        "conv_bias": "feature_extractor.conv_layers.0.conv.bias" in state,
        "extractor_mode": "layer_norm" if large else "default",
        "encoder_embed_dim": dim,
        "encoder_ffn_embed_dim": len(state["encoder.transformer.layers.0.feed_forward.intermediate_dense.weight"]),
        "encoder_attention_heads": _heads(dim, heads),
        "encoder_layers": layer_count(state, "encoder.transformer.layers."),
        "conv_pos": kernel.shape[2],
        "conv_pos_groups": dim // kernel.shape[1],
        "layer_norm_first": large,
    }
    return {"model": model, "task": {"normalize": large}}


def _heads(dim: int, given: int | None) -> int:
    heads = given or _HEADS.get(dim)
    if heads is None:
        raise DaisyError(
            f"its weights do not tell the number of attention heads, and no published model has the width {dim}",
            fix="Give it: load(..., heads=N), or for commands and runs daisy convert IN OUT.safetensors --heads N",
        )
    return heads


def _convolutions(state: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """(channels, kernel, stride) of each convolution of the front end."""
    shapes: list[tuple[int, ...]] = []
    while (name := f"feature_extractor.conv_layers.{len(shapes)}.conv.weight") in state:
        shapes.append(tuple(state[name].shape))
    unknown = [kernel for _, _, kernel in shapes if kernel not in _STRIDES]
    if unknown or not shapes:
        raise DaisyError(
            f"a convolution with the kernel {unknown[0]}, whose stride the weights do not tell"
            if unknown
            else "no convolutions",
            fix="Convert the model with daisy from a format that has a configuration",
        )
    return [(width, kernel, _STRIDES[kernel]) for width, _, kernel in shapes]


def _first(state: Mapping[str, Any], prefix: str, endings: tuple[str, ...]) -> Any:
    for ending in endings:
        for name, value in state.items():
            if name.startswith(prefix) and name.endswith(ending):
                return value
    raise KeyError(prefix + endings[0])


FORMAT = Format("torchaudio", _recognise, _read, NAMES.to_own)
