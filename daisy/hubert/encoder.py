"""HuBERT's encoder and its kin's in plain torch, one layer at a time, so that a forward pass can stop anywhere.

`daisy.hubert.config` says in which parts wav2vec 2.0, WavLM, data2vec and DistilHuBERT differ. Parameters have
fairseq's names, and WavLM's own code's; the weight norm of the positional convolution is folded when a checkpoint is
read. Shape suffixes: B utterances, N samples, T frames, R frames of all utterances, D width.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.errors import DaisyError
from daisy.hubert import long
from daisy.hubert.attention import attention
from daisy.hubert.config import GATES, Activation, HubertConfig
from daisy.hubert.front_end import FrontEnd, folded, moments
from daisy.hubert.packed_front_end import PackedFrontEnd
from daisy.hubert.packing import Frames, Packing, Windowed
from daisy.hubert.positional import Banded, Positional
from daisy.hubert.products import Keeper, Linear, Product, as_a_whole, precision
from daisy.hubert.relative import Gated, RelativePositions, gate_of
from daisy.hubert.windows import Windows

Part = TypeVar("Part")

Padding = Literal["exact", "published", "formula"]
"""How a padded batch is computed. `exact`: every utterance gets what it gets alone. `published`: as
fairseq and the paper's code do, where the first group norm sees the padding and more frames count as
valid. `formula`: as torchaudio and transformers do, where the group norm sees the padding too, but valid
frames are counted by the convolutions' formula."""

WINDOWS = Windows()
"""How long recordings are cut where nobody says otherwise."""


class ConvLayer(nn.Sequential):
    """One convolution of the front end, its norm and its activation (fairseq's indices 0, 2 and 3)."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, bias: bool, norm: str | None) -> None:
        parts: list[nn.Module] = [nn.Conv1d(inputs, width, kernel, stride, bias=bias), nn.Identity()]
        if norm == "group":
            parts.append(nn.GroupNorm(width, width))
        elif norm == "layer":
            parts.append(nn.Sequential(nn.Identity(), nn.LayerNorm(width)))
        super().__init__(*parts)

    @property
    def norm(self) -> nn.GroupNorm | nn.LayerNorm | None:
        """The norm between the two, if any."""
        if len(self) < 3:
            return None
        norm = self[2]
        return norm[1] if isinstance(norm, nn.Sequential) else norm  # type: ignore[return-value]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, T) to (B, C', T'); group norm counts only the frames of `mask` (B, T') if it is given."""
        conv = cast("nn.Conv1d", self[0])
        x = conv(x.to(conv.weight.dtype))
        norm = self.norm
        if isinstance(norm, nn.GroupNorm):
            x = norm(x) if mask is None else _masked_norm(x, mask, norm)
        elif norm is not None:
            x = norm(x.transpose(1, 2)).transpose(1, 2)
        return F.gelu(x)


def _masked_norm(x: Tensor, mask: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Group norm with one channel a group, its statistics from valid frames only."""
    kind, x = x.dtype, x.float()  # sums over many thousand frames need more than half precision
    valid = mask[:, None].to(x.dtype)
    count = valid.sum(-1, keepdim=True)
    mean = (x * valid).sum(-1, keepdim=True) / count
    centred = (x - mean) * valid
    scale = torch.rsqrt(centred.square().sum(-1, keepdim=True) / count + norm.eps)
    return (centred * (scale * norm.weight[:, None]) + norm.bias[:, None]).to(kind)


def conv_layers(config: HubertConfig) -> Iterator[ConvLayer]:
    """The convolutions of a front end."""
    inputs = 1
    for index, (width, kernel, stride) in enumerate(config.conv_layers):
        norm = "layer" if config.layer_norm_front_end else "group" if index == 0 else None
        yield ConvLayer(inputs, width, kernel, stride, config.conv_bias, norm)
        inputs = width


class FeatureExtractor(Keeper, nn.Module):
    """The convolutional front end."""

    def __init__(self, layers: Iterable[ConvLayer]) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(layers)

    def forward(self, waves: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N) to (B, T, C); `mask` holds the valid frames after the first convolution."""
        x = waves[:, None]
        for layer in self.conv_layers:
            x, mask = layer(x, mask), None
        return x.transpose(1, 2)

    def packed(self, waves: Sequence[Tensor]) -> Tensor | None:
        """Recordings (N,) to packed frames (R, C), each as it is alone; None where products do not serve."""
        products = self.products(waves[0].device)
        if products is None or isinstance(products, PackedFrontEnd):
            return None if products is None else products(waves)
        return torch.cat([products(wave) for wave in waves])

    def products(self, device: torch.device) -> FrontEnd | PackedFrontEnd | None:
        """The front end in products as they serve on a device; None where they do not."""
        layers = [(cast("nn.Conv1d", layer[0]), layer.norm) for layer in cast("list[ConvLayer]", self.conv_layers)]
        weights = [weight for conv, _ in layers for weight in conv.parameters()]
        kind = precision(weights[-1])
        if kind is None:
            return None
        made = PackedFrontEnd if as_a_whole(device) else FrontEnd
        return self.kept(weights, kind, lambda: made(layers, kind))

    def one(self, wave: Tensor) -> Tensor:
        """A single recording (N,) to (T, C)."""
        packed = self.packed([wave])
        return self(wave[None])[0] if packed is None else packed

    def fixed(self, wave: Tensor) -> FeatureExtractor:
        """A front end that gives stretches of one recording what the whole recording (N,) gives them.

        Its first convolution has the group norm in it, with the statistics of all frames, if there is such a norm.
        """
        first = cast("ConvLayer", self.conv_layers[0])
        conv, norm = cast("nn.Conv1d", first[0]), first.norm
        if not isinstance(norm, nn.GroupNorm):
            return self
        (kernel,), (stride,) = conv.kernel_size, conv.stride
        weight, bias = folded(conv.weight.detach().flatten(1), norm, *moments(wave, kernel, stride))
        with torch.device("meta"):  # where nothing is drawn
            layer = ConvLayer(1, conv.out_channels, kernel, stride, bias=True, norm=None)
        layer.load_state_dict({"0.weight": weight[:, None], "0.bias": bias}, assign=True)
        return FeatureExtractor([layer.requires_grad_(False), *cast("list[ConvLayer]", self.conv_layers[1:])])


class SelfAttention(Keeper, nn.Module):
    """Multi-head self-attention, every frame over its own utterance."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        dim, self.heads = config.dim, config.heads
        self.k_proj, self.v_proj = Linear(dim, dim), Linear(dim, dim)
        self.q_proj, self.out_proj = Linear(dim, dim), Linear(dim, dim)
        if config.buckets:
            self.grep_linear = Linear(dim // self.heads, GATES)
            self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))

    def forward(self, x: Tensor, packing: Packing | None, positions: RelativePositions | None = None) -> Tensor:
        """(R, D) to (R, D)."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        kind = precision(self.q_proj.weight)
        if kind is not None and as_a_whole(x.device):
            q, k, v = self._together(kind)(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        else:
            x = x.to(kind or x.dtype)  # once, not in each of them
            q, k, v = (projection(x).unflatten(-1, (self.heads, -1)) for projection in projections)
        gated = None if positions is None else Gated(positions, self._gate(x))
        if packing is not None:
            return self.out_proj(packing.attention(q, k, v, gated).flatten(-2))
        bias = (
            None if gated is None else (gated.gate.T[..., None] * gated.positions.pairs(x.shape[0])).to(q.dtype)[None]
        )
        return self.out_proj(attention(q[None], k[None], v[None], bias)[0].flatten(-2))

    def _gate(self, x: Tensor) -> Tensor:
        """(R, D) to (R, heads): how much the distance of frames counts."""
        return gate_of(self.grep_linear(x.unflatten(-1, (self.heads, -1))), self.grep_a.flatten())

    def _together(self, kind: torch.dtype) -> Product:
        """The three projections as one product."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        weights: list[Tensor] = [part.weight for part in projections]
        biases: list[Tensor] = [part.bias for part in projections]
        return self.kept([*weights, *biases], kind, lambda: Product(torch.cat(weights), torch.cat(biases), kind))


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    **{"relu": F.relu, "tanh": torch.tanh, "linear": nn.Identity(), "silu": F.silu},
}
"""All but GELU, which its product does on the way."""


class EncoderLayer(nn.Module):
    """One transformer layer, with layer norm after (Base) or before (Large) its two parts."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pre_norm, self.activation = config.pre_norm, config.activation
        self.self_attn = SelfAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(config.dim, config.norm_eps)
        self.fc1 = Linear(config.dim, config.ffn_dim)
        self.fc2 = Linear(config.ffn_dim, config.dim)
        self.final_layer_norm = nn.LayerNorm(config.dim, config.norm_eps)

    def forward(
        self, x: Tensor, packing: Packing | None, positions: RelativePositions | None = None
    ) -> tuple[Tensor, Tensor]:
        """(R, D) to the layer's output, and the second feed-forward layer's output, each (R, D).

        Without a `packing` the frames are one utterance's. `positions` are the encoder's.
        """
        if self.pre_norm:
            x = x + self.self_attn(self.self_attn_layer_norm(x), packing, positions)
            inner = self.feed_forward(self.final_layer_norm(x))
            return x + inner, inner
        x = self.self_attn_layer_norm(x + self.self_attn(x, packing, positions))
        inner = self.feed_forward(x)
        return self.final_layer_norm(x + inner), inner

    def feed_forward(self, x: Tensor) -> Tensor:
        """(R, D) to (R, D): both feed-forward layers and what is between them."""
        if self.activation == "gelu":
            return self.fc2(self.fc1(x, gelu=True))
        return self.fc2(_ACTIVATIONS[self.activation](self.fc1(x)))


class PositionalConv(Keeper, nn.Sequential):
    """The positional part, which keeps the length: one convolution (fairseq's index 0), or several (0.0, 1.0, ...).

    Behind each of several comes a layer norm without weights, and behind every convolution GELU.
    """

    def __init__(self, config: HubertConfig) -> None:
        dim, kernel, groups = config.dim, config.pos_kernel, config.pos_groups
        convs = [nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups) for _ in range(config.pos_depth)]
        super().__init__(*(convs if len(convs) == 1 else map(nn.Sequential, convs)))

    @property
    def convs(self) -> list[nn.Conv1d]:
        """The convolutions."""
        return [cast("nn.Conv1d", part[0] if isinstance(part, nn.Sequential) else part) for part in self]

    def forward(self, frames: Frames) -> Tensor:
        """(R, D)."""
        convs, packing = self.convs, frames.packing
        kind = precision(convs[0].weight)
        if kind is None or (len(convs) > 1 and not frames.alone):
            mask = packing.mask if frames.alone and not packing.even else None
            return packing.pack(self.padded(packing.pad(frames.states), mask))
        weights = [conv.weight for conv in convs]
        if as_a_whole(frames.states.device):
            banded = self._banded(weights, kind)
            return torch.ops.aten.gelu_(self._through(lambda part, x: part(x, frames.lengths), banded, frames.states))
        products = self.kept(weights, kind, lambda: [Positional(conv) for conv in convs])
        parts = [self._through(lambda part, x: part(x), products, states) for states in frames.split()]
        return F.gelu(torch.cat(parts))

    def one(self, states: Tensor, spare: Tensor, kind: torch.dtype) -> Tensor:
        """(T, D) of one utterance to the same, as a GPU has it, where the `spare` ones (T,) of its frames are none."""
        banded = self._banded([conv.weight for conv in self.convs], kind)
        masked = spare[:, None]
        return torch.ops.aten.gelu_(self._through(lambda part, x: part.one(x.masked_fill(masked, 0)), banded, states))

    def _banded(self, weights: list[Tensor], kind: torch.dtype) -> list[Banded]:
        return self.kept(weights, kind, lambda: [Banded(conv, kind) for conv in self.convs])

    def _through(self, convolve: Callable[[Part, Tensor], Tensor], parts: Sequence[Part], x: Tensor) -> Tensor:
        """What comes out of the last convolution and its norm, in which each part stands for one."""
        for number, part in enumerate(parts):
            y = convolve(part, F.gelu(x) if number else x)
            x = F.layer_norm(y, y.shape[-1:]) if len(parts) > 1 else y
        return x

    def padded(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, D) to the same, by torch's convolutions; where `mask` (B, T) is false none of them sees anything."""
        convs = self.convs
        for number, conv in enumerate(convs):
            if number and mask is not None:
                x = x * mask[..., None]
            y = conv(x.transpose(1, 2))[..., : x.shape[1]]
            if len(convs) > 1:
                y = F.layer_norm(y.transpose(1, 2), y.shape[1:2]).transpose(1, 2)
            x = F.gelu(y).transpose(1, 2)
        return x


class TransformerEncoder(nn.Module):
    """The layers and what comes before the first of them."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pos_conv = PositionalConv(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.dim, config.norm_eps)
        self._gated = config.buckets > 0
        if self._gated:
            cast("Any", self.layers[0]).self_attn.relative_attention_bias = RelativePositions(
                config
            )  # where WavLM keeps it

    @property
    def positions(self) -> RelativePositions | None:
        """What all layers know of how far frames are apart; None where it does not count."""
        return cast("Any", self.layers[0]).self_attn.relative_attention_bias if self._gated else None


class Hubert(nn.Module):
    """An encoder of HuBERT's kind whose layers run one by one.

    `front_end` gives state 0; `before_layers` prepares it for layer 1; `layer` runs layer k from 1.
    """

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.config = config
        width = config.conv_layers[-1][0]
        self.feature_extractor = FeatureExtractor(conv_layers(config))
        self.layer_norm = nn.LayerNorm(width, config.norm_eps) if config.feature_norm else nn.Identity()
        self.post_extract_proj = Linear(width, config.dim) if width != config.dim else nn.Identity()
        self.encoder = TransformerEncoder(config)

    def front_end(
        self,
        waves: Sequence[Tensor],
        padding: Padding = "exact",
        windows: Windows | None = None,
        last: int | None = None,
    ) -> Frames:
        """Convolve and project a batch of recordings: state 0 of each.

        Args:
            waves: One (N,) float tensor at 16 kHz per utterance.
            padding: How a batch of several lengths is computed.
            windows: How long recordings are cut for the layers; as `WINDOWS` says if not given.
            last: The last layer that may be wanted, for the progress of long recordings; by default all.

        Raises:
            DaisyError: if a recording is shorter than one frame's receptive field (25 ms in published models), or long
                and the padding is not exact.
        """
        for wave in waves:
            if wave.ndim != 1 or len(wave) < self.config.receptive_field:
                raise DaisyError(
                    f"a recording has the shape {tuple(wave.shape)}, and one frame needs "
                    f"{self.config.receptive_field} samples",
                    fix="Drop shorter recordings, and pass each as a 1-D tensor",
                )
        if self.config.normalize:
            waves = [F.layer_norm(wave, wave.shape) for wave in waves]
        samples = [len(wave) for wave in waves]
        lengths = [self.config.frames(count) for count in samples]
        cut = [(windows or WINDOWS).of(length, self.config.hop) for length in lengths]
        if any(len(own) > 1 for own in cut):
            return long.front_end(self, waves, cut, padding, last or self.config.layers)
        features = self.feature_extractor.packed(waves) if padding == "exact" else None
        if padding == "published":
            total, longest = max(lengths), max(samples)
            chunk = (longest - longest % total) // total
            lengths = [min(total, -(-count // chunk)) for count in samples]
        packing = Packing(lengths, waves[0].device)
        if features is None:
            padded = nn.utils.rnn.pad_sequence(list(waves), batch_first=True)
            mask = self._first_mask(samples, padded.device) if padding == "exact" else None
            features = packing.pack(self.feature_extractor(padded.to(self.dtype), mask))
        return Frames(self.projected(features), packing, alone=padding == "exact")

    def projected(self, features: Tensor) -> Tensor:
        """(R, C) of the convolutions to state 0 (R, D)."""
        # Under autocast the states between the products stay in the weights' own precision.
        return self.post_extract_proj(self.layer_norm(features.to(self.dtype))).to(self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.encoder.layer_norm.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.layer_norm.weight.device

    def _first_mask(self, samples: list[int], device: torch.device) -> Tensor | None:
        """The valid frames after the first convolution; None if all are."""
        _, kernel, stride = self.config.conv_layers[0]
        counted = Packing([(count - kernel) // stride + 1 for count in samples], device)
        return None if counted.even else counted.mask

    def before_layers(self, frames: Frames) -> Tensor:
        """(R, D): state 0 with positions added, the input of layer 1."""
        if isinstance(frames.packing, Windowed):
            return long.before_layers(self, frames, frames.packing)
        return self.placed(frames.states, self.encoder.pos_conv(frames))

    def placed(self, states: Tensor, positions: Tensor) -> Tensor:
        """(R, D): the input of layer 1, of state 0 and what the positional convolution makes of it."""
        x = states + positions.to(states.dtype)
        return x if self.config.pre_norm else self.encoder.layer_norm(x)

    def output(self, waves: Sequence[Tensor], k: int) -> Frames:
        """The output of layer k (from 1) for a batch of recordings, each as it is alone; no deeper layer runs."""
        frames = self.front_end(waves, last=k)
        x = self.before_layers(frames)
        for number in range(1, k + 1):
            x, _ = self.layer(number, x, frames.packing)
        return Frames(x, frames.packing)

    def layer(self, k: int, x: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Run layer k (from 1): its output, and h_k for the position `before-norm`."""
        layer, positions = cast("EncoderLayer", self.encoder.layers[k - 1]), self.encoder.positions
        if isinstance(packing, Windowed):
            out, inner = packing.through(lambda part, group: layer(part, group, positions), x)
            return out, inner
        return layer(x, packing, positions)
