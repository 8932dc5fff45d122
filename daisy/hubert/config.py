"""The shape of an encoder of HuBERT's kind, as fairseq's configuration gives it.

HuBERT, wav2vec 2.0, WavLM, data2vec's audio model and DistilHuBERT are one encoder, of which five parts differ:

- the front end's norms: a group norm behind its first convolution, or a layer norm behind each
  (`layer_norm_front_end`);
- between the front end and the projection: a layer norm, or none (`feature_norm`);
- the positional part: one long convolution, or several short ones with norms between them (`pos_depth`);
- the order in a layer: norms behind attention and feed-forward layers, or before them (`pre_norm`);
- attention: by what frames hold alone, or by their distance too (`buckets`).
"""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from daisy.errors import DaisyError
from daisy.hubert.windows import Windows

T = TypeVar("T")

Position = Literal["after-norm", "before-norm"]
"""Which tensor of a layer is h_k: its output, or its second feed-forward layer's output before the
residual and the final layer norm (the published code's default)."""

States = Literal["after-norm", "before-norm", "s3prl"]
"""Which tensors are hidden states 0 to K. With a position, as DAISY has them: the front end's projection, then h_k.
`s3prl`, as s3prl's HuBERT has them, and MiniSUPERB's with it: what enters layer 1 (positions are added, and in Base the
layer norm is behind), then the layers' outputs, in Large the last one behind the encoder's final norm."""

POSITIONS: tuple[Position, ...] = ("after-norm", "before-norm")

BASE_CONV_LAYERS = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
"""HuBERT Base's front end in fairseq's notation: (channels, kernel, stride) per layer."""

GATES = 8
"""What a gate is made of: outputs of its linear layer for each frame and head."""

Activation = Literal["gelu", "gelu_tanh", "relu", "tanh", "linear", "silu"]
"""What follows the first feed-forward layer; `gelu_tanh` is GELU by its approximation with tanh."""

_ACTIVATIONS: dict[str, Activation] = {
    **{name: "gelu" for name in ("gelu", "gelu_python")},
    **{name: "gelu_tanh" for name in ("gelu_tanh", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_pytorch_tanh")},
    **{"gelu_python_tanh": "gelu_tanh", "relu": "relu", "tanh": "tanh", "linear": "linear"},
    **{"silu": "silu", "swish": "silu"},
}
"""By fairseq's and transformers' names, which mean the same where they are the same."""


@dataclasses.dataclass(frozen=True)
class HubertConfig:
    """The shape of the encoder; the defaults are HuBERT Base's.

    Attributes:
        conv_layers: (channels, kernel, stride) of each convolution of the front end.
        conv_bias: Whether the convolutions have a bias (Large).
        layer_norm_front_end: Layer norm after every convolution (Large) instead of group norm after the
            first (Base).
        dim: D, the width of the hidden states.
        ffn_dim: The width of the feed-forward layers.
        heads: Attention heads.
        layers: K, the number of transformer layers.
        pos_kernel: Kernel of a positional convolution, in frames.
        pos_groups: Groups of a positional convolution.
        pre_norm: Layer norm before attention and feed-forward (Large) instead of after.
        normalize: Whether the waveform is normalised to zero mean and unit variance (Large).
        activation: What follows a layer's first feed-forward layer; elsewhere it is always GELU.
        norm_eps: What layer norms behind the front end add to a variance.
        pos_depth: Positional convolutions one behind the other; each of several has a layer norm without weights
            (data2vec), and a single one is long and has none.
        buckets: Kinds of distance between two frames for which attention's scores have numbers of their own, and a
            gate for each frame and head (WavLM); 0 where the distance does not count.
        furthest: The distance in frames from which on all are of one kind.
        feature_norm: Whether a layer norm is between the front end and its projection (in all but DistilHuBERT).
    """

    conv_layers: tuple[tuple[int, int, int], ...] = ((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2)
    conv_bias: bool = False
    layer_norm_front_end: bool = False
    dim: int = 768
    ffn_dim: int = 3072
    heads: int = 12
    layers: int = 12
    pos_kernel: int = 128
    pos_groups: int = 16
    pre_norm: bool = False
    normalize: bool = False
    activation: Activation = "gelu"
    norm_eps: float = 1e-5
    pos_depth: int = 1
    buckets: int = 0
    furthest: int = 800
    feature_norm: bool = True

    @property
    def hop(self) -> int:
        """Samples from one frame to the next (320, so 50 Hz at 16 kHz)."""
        product = 1
        for _, _, stride in self.conv_layers:
            product *= stride
        return product

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees in the front end (400), the shortest input that gives a frame."""
        field = 1
        for _, kernel, stride in reversed(self.conv_layers):
            field = (field - 1) * stride + kernel
        return field

    def frames(self, samples: int) -> int:
        """The number of frames that the front end makes of `samples` samples."""
        for _, kernel, stride in self.conv_layers:
            samples = max(0, (samples - kernel) // stride + 1)
        return samples

    def macs(self, samples: int, layers: int) -> int:
        """Multiply-accumulate operations of the front end and the first `layers` layers.

        Counted: convolutions, linear layers and attention's two products, and where distances count the gates' linear
        layer and one operation per score; not counted: norms, activations, softmax. Frames of a long recording count in
        every window that they are in.
        """
        total, channels, length = 0, 1, samples
        for width, kernel, stride in self.conv_layers:
            length = (length - kernel) // stride + 1
            total += length * width * channels * kernel
            channels = width
        total += length * channels * self.dim
        total += self.pos_depth * length * self.dim * (self.dim // self.pos_groups) * self.pos_kernel
        sizes = [window.size for window in Windows().of(length, self.hop)]
        rows, scores = sum(sizes), sum(size * size for size in sizes)
        per_layer = rows * (4 * self.dim * self.dim + 2 * self.dim * self.ffn_dim) + 2 * scores * self.dim
        if self.buckets:
            per_layer += rows * GATES * self.dim + scores * self.heads
        return total + layers * per_layer


def parse_conv_layers(text: str) -> tuple[tuple[int, int, int], ...]:
    """Parse fairseq's `conv_feature_layers`, for example ``"[(512,10,5)] + [(512,3,2)] * 4"``.

    Only lists of integer triples, their sums and their products with an integer are understood; nothing
    is evaluated.

    Raises:
        DaisyError: if `text` is anything else.
    """

    def read(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value
            case ast.Tuple(elts=elements):
                return tuple(read(item) for item in elements)
            case ast.List(elts=elements):
                return [read(item) for item in elements]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return read(left) + read(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                times, what = sorted((read(left), read(right)), key=lambda item: isinstance(item, list))
                if type(times) is int and 0 <= times < 100 and isinstance(what, list) and len(what) < 100:
                    return times * what
        raise ValueError(ast.dump(node))

    try:
        layers = read(ast.parse(text.strip(), mode="eval").body)
        ok = isinstance(layers, list) and layers and len(layers) < 100
        if not ok or not all(len(layer) == 3 and all(isinstance(n, int) and n > 0 for n in layer) for layer in layers):
            raise ValueError
    except (ValueError, TypeError, SyntaxError, RecursionError):
        raise DaisyError(
            f"conv_feature_layers is {text!r}", fix=f"Write it as a list of triples, like {BASE_CONV_LAYERS!r}"
        ) from None
    return tuple(cast("tuple[int, int, int]", tuple(layer)) for layer in layers)


def from_fairseq(model: Mapping[str, Any], *, normalize: bool) -> HubertConfig:
    """Build the shape from the `model` part of a fairseq configuration.

    Args:
        model: fairseq's HubertConfig, Wav2Vec2Config or Data2VecAudioConfig, or WavLM's configuration, as a plain
            mapping; missing keys take their defaults.
        normalize: `task.normalize` of the same configuration.

    Raises:
        DaisyError: if a value is none that is known.
    """
    depth, pos_kernel = _whole(model, "pos_conv_depth", 1), _whole(model, "conv_pos", 128)
    return HubertConfig(
        conv_layers=parse_conv_layers(str(model.get("conv_feature_layers", BASE_CONV_LAYERS))),
        conv_bias=flag(model, "conv_bias"),
        layer_norm_front_end=_known(model, "extractor_mode", "default", {"default": False, "layer_norm": True}),
        dim=_whole(model, "encoder_embed_dim", 768),
        ffn_dim=_whole(model, "encoder_ffn_embed_dim", 3072),
        heads=_whole(model, "encoder_attention_heads", 12),
        layers=_whole(model, "encoder_layers", 12),
        # fairseq divides the frames that a single convolution would see.
        pos_kernel=max(3, pos_kernel // depth) if depth > 1 else pos_kernel,
        pos_groups=_whole(model, "conv_pos_groups", 16),
        pre_norm=flag(model, "layer_norm_first"),
        normalize=normalize,
        activation=_known(model, "activation_fn", "gelu", _ACTIVATIONS),
        norm_eps=_positive(model, "layer_norm_eps", 1e-5),
        pos_depth=depth,
        buckets=_buckets(model),
        furthest=_whole(model, "max_distance", 1280) if _buckets(model) else HubertConfig.furthest,
        feature_norm=flag(model, "feat_proj_layer_norm", True),
    )


def _buckets(model: Mapping[str, Any]) -> int:
    """How many kinds of distance there are; 0 if distances do not count.

    Raises:
        DaisyError: if they count without a gate, which no published model has.
    """
    if not flag(model, "relative_position_embedding"):
        return 0
    if not flag(model, "gru_rel_pos"):
        raise DaisyError("relative_position_embedding without gru_rel_pos is not known", fix="Use another model")
    return _whole(model, "num_buckets", 320)


def flag(model: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A setting that is on or off.

    Raises:
        DaisyError: if it is a text, of which nobody can tell what it means.
    """
    value = model.get(name)
    value = default if value is None else value
    if value not in (True, False):
        raise DaisyError(f"{name} is {value!r}, neither true nor false", fix="Correct the checkpoint's configuration")
    return bool(value)


def _whole(model: Mapping[str, Any], name: str, default: int) -> int:
    """A setting that is a whole number.

    Raises:
        DaisyError: if it is none.
    """
    value = model.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        fix = "Correct the checkpoint's configuration: it is a whole number"
        raise DaisyError(f"{name} is {value!r}", fix=fix) from None


def _positive(model: Mapping[str, Any], name: str, default: float) -> float:
    """A setting that is a number above 0.

    Raises:
        DaisyError: if it is none.
    """
    given = model.get(name, default)
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise DaisyError(f"{name} is {given!r}", fix="Correct the checkpoint's configuration: it is a number above 0")
    return value


def _known(model: Mapping[str, Any], name: str, default: str, values: Mapping[str, T]) -> T:
    """What a setting's name stands for.

    Raises:
        DaisyError: if it is none of them.
    """
    found = model.get(name)
    value = default if found is None else str(getattr(found, "value", found))
    if value not in values:
        raise DaisyError(f"{name} is {value!r}, and only {', '.join(values)} are known", fix="Use another model")
    return values[value]
