"""Whether a checkpoint's weights are those of its configuration: all there, and of the right shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.config import GATES, HubertConfig
from daisy.hubert.formats.content import layer_count

Shape = tuple[int, ...]

_PARTS = frozenset(
    ("feature_extractor", "layer_norm", "post_extract_proj", "encoder", "mask_emb", "final_proj", "label_embs_concat")
)
"""What a weight's name begins with."""

_POSITIONS = "encoder.pos_conv.0."
_WEIGHT_NORMS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


_READ = ("float64", "float32", "float16", "bfloat16")
"""Kinds of elements that are numbers by themselves; of whole numbers and smaller ones the scales are not known."""

_WHOLE = "Use a checkpoint in floating-point numbers"
_FIXES = {"sparse": f"{_WHOLE}, or save it with to_dense()", "q": f"{_WHOLE}, or save it with dequantize()"}
"""By how a kind's name begins."""


def check_kinds(state: Mapping[str, Any]) -> None:
    """Check that weights' outlines, under the project's own names, are of kinds that can be read.

    Raises:
        DaisyError: if one is not.
    """
    for name, value in state.items():
        if name.split(".")[0] in _PARTS and value.kind not in _READ:
            fix = next((fix for start, fix in _FIXES.items() if value.kind.startswith(start)), _WHOLE)
            raise DaisyError(
                f"the weight {name} is stored as {value.kind}, and only {', '.join(_READ)} are read", fix=fix
            )


def check(state: Mapping[str, Any], shape: HubertConfig) -> None:
    """Check weights' outlines under the project's own names.

    Raises:
        KeyError: with the name of a weight that is missing.
        ValueError: if a weight does not fit the configuration.
    """
    _check_numbers(shape)
    for what, prefix in (("layers", "encoder.layers."), ("branches", "final_proj.")):
        there = layer_count(state, prefix)
        if there and there != shape.layers:
            raise ValueError(f"it has {there} {what}, and {shape.layers} layers by its configuration")
    needed = dict(encoder_weights(state, shape))
    for name, wanted in needed.items():
        found = tuple(state[name].shape)
        if found != wanted:
            raise ValueError(f"{name} has the shape {found}, and {wanted} by its configuration")
    for name in state:
        if name.startswith("encoder.layers.") and name not in needed:
            raise ValueError(f"{name} is none of its encoder's weights")
    for k in range(shape.layers if "final_proj.0.weight" in state else 0):
        found = tuple(state[f"final_proj.{k}.weight"].shape)
        if found[1:] != (shape.dim,):
            raise ValueError(f"branches of width {found[-1]} on a model of width {shape.dim}")


def _check_numbers(shape: HubertConfig) -> None:
    numbers = {
        "encoder_embed_dim": shape.dim,
        "encoder_ffn_embed_dim": shape.ffn_dim,
        "encoder_attention_heads": shape.heads,
        "encoder_layers": shape.layers,
        "conv_pos": shape.pos_kernel,
        "conv_pos_groups": shape.pos_groups,
        "pos_conv_depth": shape.pos_depth,
    }
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} is {value}")
    for name in ("encoder_attention_heads", "conv_pos_groups"):
        if shape.dim % numbers[name]:
            raise ValueError(f"{name} is {numbers[name]}, which does not divide the width {shape.dim}")
    if shape.buckets and not (shape.buckets >= 4 and shape.furthest > shape.buckets // 4):
        raise ValueError(f"num_buckets is {shape.buckets}, and max_distance {shape.furthest}")


def encoder_weights(names: Mapping[str, Any], shape: HubertConfig) -> Iterator[tuple[str, Shape]]:
    """Every weight that the encoder needs, by the project's own name, and its shape.

    Args:
        names: Those that are there: the positional convolution's weight norm has one of two ways to be written.
        shape: The encoder's.
    """
    yield from _convolutions(shape)
    inputs = shape.conv_layers[-1][0]
    if shape.feature_norm:
        yield from _pair("layer_norm", (inputs,))
    if inputs != shape.dim:
        yield from _pair("post_extract_proj", (shape.dim, inputs))
    yield from _positions(names, shape)
    yield from _pair("encoder.layer_norm", (shape.dim,))
    for i in range(shape.layers):
        place = f"encoder.layers.{i}."
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _pair(f"{place}self_attn.{name}", (shape.dim, shape.dim))
        yield from _pair(f"{place}fc1", (shape.ffn_dim, shape.dim))
        yield from _pair(f"{place}fc2", (shape.dim, shape.ffn_dim))
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            yield from _pair(f"{place}{name}", (shape.dim,))
        if shape.buckets:
            yield from _pair(f"{place}self_attn.grep_linear", (GATES, shape.dim // shape.heads))
            yield f"{place}self_attn.grep_a", (1, shape.heads, 1, 1)
    if shape.buckets:
        yield "encoder.layers.0.self_attn.relative_attention_bias.weight", (shape.buckets, shape.heads)


def _convolutions(shape: HubertConfig) -> Iterator[tuple[str, Shape]]:
    inputs = 1
    for i, (width, kernel, _) in enumerate(shape.conv_layers):
        place = f"feature_extractor.conv_layers.{i}."
        yield f"{place}0.weight", (width, inputs, kernel)
        if shape.conv_bias:
            yield f"{place}0.bias", (width,)
        if shape.layer_norm_front_end or i == 0:
            norm = "2.1" if shape.layer_norm_front_end else "2"
            yield from _pair(f"{place}{norm}", (width,))
        inputs = width


def _pair(module: str, weight: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{module}.weight", weight
    yield f"{module}.bias", weight[:1]


def _positions(names: Mapping[str, Any], shape: HubertConfig) -> Iterator[tuple[str, Shape]]:
    weight = (shape.dim, shape.dim // shape.pos_groups, shape.pos_kernel)
    if shape.pos_depth > 1:
        for i in range(shape.pos_depth):
            yield from _pair(f"encoder.pos_conv.{i}.0", weight)
        return
    for g, v in _WEIGHT_NORMS:
        if _POSITIONS + v in names:
            yield _POSITIONS + g, (1, 1, shape.pos_kernel)
            yield _POSITIONS + v, weight
            break
    else:
        yield f"{_POSITIONS}weight", weight
    yield f"{_POSITIONS}bias", (shape.dim,)
