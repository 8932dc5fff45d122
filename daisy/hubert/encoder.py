"""HuBERT's encoder in plain torch, one layer at a time, so that a forward pass can stop anywhere.

Parameters have fairseq's names; the weight norm of the positional convolution is folded when a
checkpoint is read. Shape suffixes: B utterances, N samples, T frames, R frames of all utterances, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.errors import DaisyError
from daisy.hubert.attention import attention
from daisy.hubert.config import HubertConfig
from daisy.hubert.packing import Frames, Packing
from daisy.hubert.products import FrontEnd, Keeper, Linear, Positional, precision

Padding = Literal["exact", "published", "formula"]
"""How a padded batch is computed. `exact`: every utterance gets what it gets alone. `published`: as
fairseq and the paper's code do, where the first group norm sees the padding and more frames count as
valid. `formula`: as torchaudio and transformers do, where the group norm sees the padding too, but valid
frames are counted by the convolutions' formula."""


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
        x = self[0](x)
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


class FeatureExtractor(Keeper, nn.Module):
    """The convolutional front end."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        layers, inputs = [], 1
        for index, (width, kernel, stride) in enumerate(config.conv_layers):
            norm = "layer" if config.layer_norm_front_end else "group" if index == 0 else None
            layers.append(ConvLayer(inputs, width, kernel, stride, config.conv_bias, norm))
            inputs = width
        self.conv_layers = nn.ModuleList(layers)

    def forward(self, waves: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N) to (B, T, C); `mask` holds the valid frames after the first convolution."""
        x = waves[:, None]
        for layer in self.conv_layers:
            x, mask = layer(x, mask), None
        return x.transpose(1, 2)

    def one_by_one(self, waves: Sequence[Tensor]) -> Tensor | None:
        """Recordings (N,) to packed frames (R, C), each as it is alone; None where products do not serve."""
        layers = [(cast("nn.Conv1d", layer[0]), layer.norm) for layer in cast("list[ConvLayer]", self.conv_layers)]
        weights = [weight for conv, _ in layers for weight in conv.parameters()]
        kind = precision(weights[0])
        if kind is None:
            return None
        products = self.kept(weights, kind, lambda: FrontEnd(layers, kind))
        return torch.cat([products(wave) for wave in waves])


class SelfAttention(nn.Module):
    """Multi-head self-attention, every frame over its own utterance."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj = Linear(dim, dim), Linear(dim, dim)
        self.q_proj, self.out_proj = Linear(dim, dim), Linear(dim, dim)

    def forward(self, x: Tensor, packing: Packing | None) -> Tensor:
        """(R, D) to (R, D)."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        x = x.to(precision(self.q_proj.weight) or x.dtype)  # once, not in each of them
        q, k, v = (projection(x).unflatten(-1, (self.heads, -1)) for projection in projections)
        out = attention(q[None], k[None], v[None])[0] if packing is None else packing.attention(q, k, v)
        return self.out_proj(out.flatten(-2))


class EncoderLayer(nn.Module):
    """One transformer layer, with layer norm after (Base) or before (Large) its two parts."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.self_attn = SelfAttention(config.dim, config.heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.dim)
        self.fc1 = Linear(config.dim, config.ffn_dim)
        self.fc2 = Linear(config.ffn_dim, config.dim)
        self.final_layer_norm = nn.LayerNorm(config.dim)

    def forward(self, x: Tensor, packing: Packing | None) -> tuple[Tensor, Tensor]:
        """(R, D) to the layer's output, and the second feed-forward layer's output, each (R, D).

        Without a `packing` the frames are one utterance's.
        """
        if self.pre_norm:
            x = x + self.self_attn(self.self_attn_layer_norm(x), packing)
            inner = self.fc2(self.fc1(self.final_layer_norm(x), gelu=True))
            return x + inner, inner
        x = self.self_attn_layer_norm(x + self.self_attn(x, packing))
        inner = self.fc2(self.fc1(x, gelu=True))
        return self.final_layer_norm(x + inner), inner


class PositionalConv(Keeper, nn.Sequential):
    """The positional convolution (fairseq's index 0), which keeps the length."""

    def __init__(self, config: HubertConfig) -> None:
        kernel = config.pos_kernel
        super().__init__(nn.Conv1d(config.dim, config.dim, kernel, padding=kernel // 2, groups=config.pos_groups))

    def forward(self, frames: Frames) -> Tensor:
        """(R, D)."""
        conv, packing = cast("nn.Conv1d", self[0]), frames.packing
        kind = precision(conv.weight)
        if kind is not None:
            products = self.kept([conv.weight], kind, lambda: Positional(conv))
            return F.gelu(torch.cat([products(part) for part in frames.split()]))
        return packing.pack(self.padded(packing.pad(frames.states)))

    def padded(self, x: Tensor) -> Tensor:
        """(B, T, D) to the same, by torch's convolution."""
        return F.gelu(self[0](x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)


class TransformerEncoder(nn.Module):
    """The layers and what comes before the first of them."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pos_conv = PositionalConv(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.dim)


class Hubert(nn.Module):
    """A HuBERT encoder whose layers run one by one.

    `front_end` gives state 0; `before_layers` prepares it for layer 1; `layer` runs layer k from 1.
    """

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.config = config
        width = config.conv_layers[-1][0]
        self.feature_extractor = FeatureExtractor(config)
        self.layer_norm = nn.LayerNorm(width)
        self.post_extract_proj = Linear(width, config.dim) if width != config.dim else nn.Identity()
        self.encoder = TransformerEncoder(config)

    def front_end(self, waves: Sequence[Tensor], padding: Padding = "exact") -> Frames:
        """Convolve and project a batch of recordings: state 0 of each.

        Args:
            waves: One (N,) float tensor at 16 kHz per utterance.
            padding: How a batch of several lengths is computed.

        Raises:
            DaisyError: if a recording is shorter than one frame's receptive field (25 ms in published models).
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
        features = self.feature_extractor.one_by_one(waves) if padding == "exact" else None
        if padding == "published":
            total, longest = max(lengths), max(samples)
            chunk = (longest - longest % total) // total
            lengths = [min(total, -(-count // chunk)) for count in samples]
        packing = Packing(lengths, waves[0].device)
        if features is None:
            padded = nn.utils.rnn.pad_sequence(list(waves), batch_first=True)
            mask = self._first_mask(samples, padded.device) if padding == "exact" else None
            features = packing.pack(self.feature_extractor(padded.to(self.dtype), mask))
        # Under autocast the states between the products stay in the weights' own precision.
        states = self.post_extract_proj(self.layer_norm(features.to(self.dtype)))
        return Frames(states.to(self.dtype), packing)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.layer_norm.weight.dtype

    def _first_mask(self, samples: list[int], device: torch.device) -> Tensor | None:
        """The valid frames after the first convolution; None if all are."""
        _, kernel, stride = self.config.conv_layers[0]
        counted = Packing([(count - kernel) // stride + 1 for count in samples], device)
        return None if counted.even else counted.mask

    def before_layers(self, frames: Frames) -> Tensor:
        """(R, D): state 0 with positions added, the input of layer 1."""
        x = frames.states + self.encoder.pos_conv(frames).to(frames.states.dtype)
        return x if self.config.pre_norm else self.encoder.layer_norm(x)

    def output(self, waves: Sequence[Tensor], k: int) -> Frames:
        """The output of layer k (from 1) for a batch of recordings, each as it is alone; no deeper layer runs."""
        frames = self.front_end(waves)
        x = self.before_layers(frames)
        for number in range(1, k + 1):
            x, _ = self.layer(number, x, frames.packing)
        return Frames(x, frames.packing)

    def layer(self, k: int, x: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Run layer k (from 1): its output, and h_k for the position `before-norm`."""
        return self.encoder.layers[k - 1](x, packing)
