"""The names that torchaudio and transformers share: both took HuBERT's modules apart in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TypeVar

from torch import Tensor

from daisy.hubert.config import HubertConfig

T = TypeVar("T")

_LAYER = {
    **{f"self_attn.{name}_proj": f"attention.{name}_proj" for name in ("k", "v", "q", "out")},
    "self_attn_layer_norm": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "final_layer_norm": "final_layer_norm",
}
"""Parts of a transformer layer: the project's own name and the libraries'."""

_PREFIXES = ("wav2vec2.", "hubert.")
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

    def used_by(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a state dict has these names."""
        return f"{self.projection}layer_norm.weight" in without_prefix(state)

    def modules(self, shape: HubertConfig) -> Iterator[tuple[str, str]]:
        """Every module of the encoder with weights: the project's own name and the library's."""
        for i in range(len(shape.conv_layers)):
            place = f"feature_extractor.conv_layers.{i}."
            yield place + "0", place + "conv"
            if shape.layer_norm_front_end:
                yield place + "2.1", place + "layer_norm"
            elif i == 0:
                yield place + "2", place + "layer_norm"
        yield "layer_norm", self.projection + "layer_norm"
        yield "post_extract_proj", self.projection + "projection"
        yield "encoder.pos_conv.0", self.transformer + "pos_conv_embed.conv"
        yield "encoder.layer_norm", self.transformer + "layer_norm"
        for i in range(shape.layers):
            for own, other in _LAYER.items():
                yield f"encoder.layers.{i}.{own}", f"{self.transformer}layers.{i}.{other}"

    def to_own(self, state: Mapping[str, Tensor], shape: HubertConfig) -> dict[str, Tensor]:
        """A state dict under the project's own names; what the encoder and its head do not need is left out.

        Raises:
            KeyError: with the library's name, if a weight is missing.
            ValueError: if it has a projection where fairseq has none.
        """
        state = without_prefix(state)
        result: dict[str, Tensor] = {}
        for own, other in self.modules(shape):
            if own == "encoder.pos_conv.0":
                weights = {name: value for name, value in state.items() if name.startswith(other + ".")}
                result |= {name.replace(other, own, 1): value for name, value in weights.items()}
                continue
            if own == "post_extract_proj" and shape.conv_layers[-1][0] == shape.dim:
                _check_identity(state[f"{other}.weight"], state[f"{other}.bias"])
                continue
            result[f"{own}.weight"] = state[f"{other}.weight"]
            if "conv_layers" not in own or shape.conv_bias or not own.endswith(".0"):
                result[f"{own}.bias"] = state[f"{other}.bias"]
        return result | {own: state[other] for own, other in self.single.items() if other in state}

    def from_own(self, state: Mapping[str, Tensor], shape: HubertConfig) -> dict[str, Tensor]:
        """The reverse of `to_own`, for a state dict whose positional convolution has its weight norm."""
        places = dict(self.modules(shape))
        result: dict[str, Tensor] = {}
        for name, value in state.items():
            own = next((place for place in places if name.startswith(place + ".")), None)
            if own is not None:
                result[places[own] + name[len(own) :]] = value
        if shape.conv_layers[-1][0] == shape.dim:
            one = state["layer_norm.weight"]
            other = places["post_extract_proj"]
            result |= {f"{other}.weight": one.new_ones(shape.dim).diag(), f"{other}.bias": one.new_zeros(shape.dim)}
        return result | {other: state[own] for own, other in self.single.items() if own in state}


def without_prefix(state: Mapping[str, T]) -> dict[str, T]:
    """`state` without the prefix of a larger model."""
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in state):
            return {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def _check_identity(weight: Tensor, bias: Tensor) -> None:
    """fairseq has no projection between equal widths, so that only one that does nothing can be read."""
    if weight.ndim != 2 or not (weight == weight.new_ones(len(weight)).diag()).all() or bias.any():
        raise ValueError("it projects the front end's output to the same width, which fairseq's HuBERT does not")
