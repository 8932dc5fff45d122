"""The names that torchaudio and transformers share: both took HuBERT's modules apart in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.hubert.formats.outline import Outline

T = TypeVar("T")

FIRST = "feature_extractor.conv_layers.0.conv.weight"
"""The weight that every encoder under these names has, and no other program's."""

_LAYER = {
    **{f"self_attn.{name}_proj": f"attention.{name}_proj" for name in ("k", "v", "q", "out")},
    "self_attn_layer_norm": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "final_layer_norm": "final_layer_norm",
}

_GATE = {"self_attn.grep_linear": "attention.gru_rel_pos_linear"}
"""One more of WavLM's."""
"""Parts of a transformer layer: the project's own name and the libraries'."""

_POSITIONS = "encoder.pos_conv.0"
"""The positional convolution where there is one, whose weight norm has names of its own."""

_INSIDE = ("wav2vec2.", "hubert.", "wavlm.", "data2vec_audio.")
"""Before the names where the encoder is part of a larger model (pre-training, CTC)."""


@dataclasses.dataclass(frozen=True)
class Names:
    """What a library calls HuBERT's weights.

    Attributes:
        projection: Where it keeps the projection after the front end.
        transformer: Where it keeps the transformer.
        single: Its names of tensors outside the encoder, by the project's own.
    """

    projection: str
    transformer: str
    single: Mapping[str, str]

    def used_by(self, state: Mapping[str, Any]) -> bool:
        """Whether a state dict has these names."""
        names = without_prefix(state)
        return any(f"{self.projection}{part}.weight" in names for part in ("layer_norm", "projection"))

    def modules(self, shape: HubertConfig) -> Iterator[tuple[str, str]]:
        """Every module of the encoder with weights: the project's own name and the library's."""
        for i in range(len(shape.conv_layers)):
            place = f"feature_extractor.conv_layers.{i}."
            yield place + "0", place + "conv"
            if shape.layer_norm_front_end:
                yield place + "2.1", place + "layer_norm"
            elif i == 0:
                yield place + "2", place + "layer_norm"
        if shape.feature_norm:
            yield "layer_norm", self.projection + "layer_norm"
        yield "post_extract_proj", self.projection + "projection"
        if shape.pos_depth == 1:
            yield _POSITIONS, self.transformer + "pos_conv_embed.conv"
        else:
            for i in range(shape.pos_depth):
                yield f"encoder.pos_conv.{i}.0", f"{self.transformer}pos_conv_embed.layers.{i}.conv"
        yield "encoder.layer_norm", self.transformer + "layer_norm"
        for i in range(shape.layers):
            for own, other in (_LAYER | (_GATE if shape.buckets else {})).items():
                yield f"encoder.layers.{i}.{own}", f"{self.transformer}layers.{i}.{other}"

    def tensors(self, shape: HubertConfig) -> Iterator[tuple[str, str]]:
        """Every weight of the layers that is no module's `weight` and `bias`, likewise: what WavLM has of distances."""
        for i in range(shape.layers if shape.buckets else 0):
            layer = f"{self.transformer}layers.{i}.attention."
            if i == 0:
                own = "encoder.layers.0.self_attn.relative_attention_bias.weight"
                yield own, f"{layer}rel_attn_embed.weight"
            yield f"encoder.layers.{i}.self_attn.grep_a", f"{layer}gru_rel_pos_const"

    def to_own(self, state: Mapping[str, Any], shape: HubertConfig) -> dict[str, Any]:
        """A state dict under the project's own names; what the encoder and its head do not need is left out.

        Raises:
            KeyError: with the library's name, if a weight is missing.
            ValueError: if it has a projection where fairseq has none, or layers hold what the encoder's do not.
        """
        state = without_prefix(state)
        parts = tuple(f"{other}." for own, other in self.modules(shape) if own.startswith("encoder.layers."))
        layers, tensors = f"{self.transformer}layers.", {other: own for own, other in self.tensors(shape)}
        inside = (name for name in state if name.startswith(layers) and name not in tensors)
        more = next((name for name in inside if not name.startswith(parts)), None)
        result: dict[str, Any] = {own: state[other] for other, own in tensors.items()}
        for own, other in self.modules(shape):
            if own == _POSITIONS and shape.pos_depth == 1:
                weights = {name: value for name, value in state.items() if name.startswith(other + ".")}
                result |= {name.replace(other, own, 1): value for name, value in weights.items()}
                continue
            if own == "post_extract_proj" and shape.conv_layers[-1][0] == shape.dim:
                _check_identity(state[f"{other}.weight"], state[f"{other}.bias"])
                continue
            result[f"{own}.weight"] = state[f"{other}.weight"]
            if "conv_layers" not in own or shape.conv_bias or not own.endswith(".0"):
                result[f"{own}.bias"] = state[f"{other}.bias"]
        if more is not None:
            raise ValueError(f"{more} is none of its encoder's weights")
        return result | {own: state[other] for own, other in self.single.items() if other in state}

    def from_own(self, state: Mapping[str, Any], shape: HubertConfig) -> dict[str, Any]:
        """The reverse of `to_own`, for a state dict whose positional convolution has its weight norm."""
        places = dict(self.modules(shape))
        result: dict[str, Any] = {}
        for name, value in state.items():
            own = next((place for place in places if name.startswith(place + ".")), None)
            if own is not None:
                result[places[own] + name[len(own) :]] = value
        if shape.conv_layers[-1][0] == shape.dim:
            one = state["encoder.layer_norm.weight"]
            other = places["post_extract_proj"]
            result |= {f"{other}.weight": one.new_ones(shape.dim).diag(), f"{other}.bias": one.new_zeros(shape.dim)}
        tensors = {other: state[own] for own, other in self.tensors(shape)}
        return result | tensors | {other: state[own] for own, other in self.single.items() if own in state}


def without_prefix(state: Mapping[str, T]) -> dict[str, T]:
    """`state` without the prefix of a larger model, and of wrappers around that."""
    return behind_prefix(state, FIRST, _INSIDE)


def behind_prefix(state: Mapping[str, T], first: str, inside: tuple[str, ...] = ()) -> dict[str, T]:
    """The weights that share a prefix with the encoder's first one, without it.

    Args:
        state: A state dict, perhaps of a larger model: ``module.``, ``model.``, ``model.wav2vec2.``
        first: The encoder's first weight.
        inside: Prefixes that a model of the same library has before its encoder, and not before its own weights, which
            are kept: those of the pre-training head.

    Raises:
        DaisyError: if there are several encoders, or a name is no text.
    """
    nameless = next((name for name in state if not isinstance(name, str)), None)
    if nameless is not None:
        fix = "Use a HuBERT or DAISY checkpoint"
        raise DaisyError(f"among its weights' names is {nameless!r}, which is no text", fix=fix)
    prefixes = [name.removesuffix(first) for name in state if name == first or name.endswith("." + first)]
    if len(prefixes) > 1:
        named = ", ".join(repr(prefix) for prefix in sorted(prefixes)[:4])
        raise DaisyError(
            f"it holds {len(prefixes)} encoders (prefixes {named}), and nothing says which is meant",
            fix="Save the state dict of the one that is meant",
        )
    if not prefixes:
        return dict(state)
    prefix = prefixes[0]
    around = next((prefix.removesuffix(part) for part in inside if prefix.endswith(part)), prefix)
    inner = {name: value for name, value in state.items() if name.startswith(prefix)}
    beside = {name: value for name, value in state.items() if name.startswith(around) and name not in inner}
    result = {name.removeprefix(around): value for name, value in beside.items()}
    return result | {name.removeprefix(prefix): value for name, value in inner.items()}


def _check_identity(weight: Any, bias: Any) -> None:
    """fairseq has no projection between equal widths, so that only one that does nothing can be read."""
    if isinstance(weight, Outline):
        return
    if weight.ndim != 2 or not (weight == weight.new_ones(len(weight)).diag()).all() or bias.any():
        raise ValueError("it projects the front end's output to the same width, which fairseq's HuBERT does not")
