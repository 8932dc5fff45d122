"""HuBERT's masked prediction: its model with a head, which frames are masked, and the loss.

Beside fairseq's, with which a test compares them; plain torch, on the modules of `daisy.hubert.encoder`. All recordings
of a batch have the same length here, so that nothing is padding. Shape suffixes: B recordings, N samples, T frames.
"""

from __future__ import annotations

import contextlib
import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from daisy.hubert.config import HubertConfig
from daisy.hubert.encoder import EncoderLayer, Hubert
from daisy.pretraining.settings import ModelSettings, TrainSettings

MEASURES = ("masked_loss", "unmasked_loss", "masked_accuracy", "unmasked_accuracy")
"""What is told of a batch beside its loss: means over masked and over other frames, losses in nats."""


def shape_of(model: ModelSettings) -> HubertConfig:
    """The encoder's shape."""
    strides = ((10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2)
    layers = tuple((model.channels, kernel, stride) for kernel, stride in strides)
    return HubertConfig(layers, dim=model.dim, ffn_dim=model.ffn_dim, heads=model.heads, layers=model.layers)


def span_mask(batch: int, frames: int, settings: TrainSettings, chance: np.random.Generator) -> np.ndarray:
    """Which frames are masked: (B, T), spans of one length at random places, which may overlap, as in fairseq.

    Every recording has as many masked frames as the one with the fewest; `chance` is drawn from in fairseq's order.
    """
    length = settings.mask_length
    chosen = []
    for _ in range(batch):
        spans = max(2, int(settings.mask_prob * frames / length + chance.random()))
        places = frames - length if frames - length > spans else spans + 1
        starts = chance.choice(places, spans, replace=False)
        found = np.unique(starts[:, None] + np.arange(length))
        chosen.append(found[found < frames])
    fewest = min(map(len, chosen))
    mask = np.zeros((batch, frames), bool)
    for row, found in enumerate(chosen):
        mask[row, chance.choice(found, fewest, replace=False) if len(found) > fewest else found] = True
    return mask


class Pretrainer(nn.Module):
    """HuBERT, its mask embedding and its head, with fresh weights as fairseq has them.

    Args:
        model: The shape.
        settings: Classes, dropout, and what the loss is made of.
    """

    def __init__(self, model: ModelSettings, settings: TrainSettings) -> None:
        super().__init__()
        self.settings = settings
        self.hubert = Hubert(shape_of(model))
        self.mask_emb = nn.Parameter(torch.rand(model.dim))
        self.final_proj = nn.Linear(model.dim, model.final_dim)
        self.label_embs_concat = nn.Parameter(torch.rand(settings.classes, model.final_dim))
        self._fresh()
        parametrizations.weight_norm(self.hubert.encoder.pos_conv[0], dim=2)
        if settings.front_end == 0:
            self.hubert.feature_extractor.requires_grad_(False)

    def _fresh(self) -> None:
        for module in self.hubert.feature_extractor.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)
        conv = cast("nn.Conv1d", self.hubert.encoder.pos_conv[0])
        nn.init.normal_(
            conv.weight, std=math.sqrt(4 * (1 - self.settings.dropout) / (conv.kernel_size[0] * conv.in_channels))
        )
        nn.init.constant_(cast("Tensor", conv.bias), 0)
        for module in self.hubert.encoder.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def weights(self) -> dict[str, Tensor]:
        """All weights under fairseq's names."""
        names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
        result = {}
        for name, value in self.state_dict().items():
            name = name.removeprefix("hubert.")
            for own, theirs in names.items():
                name = name.replace(own, theirs)
            result[name] = value.detach().cpu().clone()
        return result

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take all weights but the head's, by fairseq's names; a mask embedding that is not there stays fresh."""
        own = self.weights()
        head = ("final_proj", "label_embs_concat")
        taken = {name: weights.get(name, own[name]) for name in own if not name.startswith(head)}
        kept = {name: own[name] for name in own if name.startswith(head)}
        self.load_weights({**taken, **kept})

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take all weights, by fairseq's names."""
        self.load_state_dict(dict(zip(self.state_dict(), (weights[name] for name in self.weights()), strict=True)))

    def features(self, inputs: Tensor) -> Tensor:
        """The front end: (B, N) to (B, T, channels); what it made before is taken as it is."""
        if inputs.dim() == 3:
            return inputs
        scale = self.settings.front_end
        with torch.no_grad() if scale == 0 else contextlib.nullcontext():
            features = self.hubert.feature_extractor(inputs)
        if scale not in (0, 1) and features.requires_grad:
            features.register_hook(lambda gradient: gradient * scale)
        return features

    def encode(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """The last layer's output, (B, T, D), for features of which those in `mask` (B, T) are hidden."""
        hubert, encoder = self.hubert, self.hubert.encoder
        x = hubert.post_extract_proj(hubert.layer_norm(features.to(hubert.dtype)))
        x = self._dropped(x).to(hubert.dtype)
        if mask is not None:
            x = torch.where(mask[..., None], self.mask_emb, x)
        x = self._dropped(encoder.layer_norm(x + encoder.pos_conv.padded(x)))
        for layer in cast("list[EncoderLayer]", encoder.layers):
            if not (self.training and torch.rand(()).item() < self.settings.layerdrop):
                x = self._layer(layer, x)
        return x

    def _layer(self, layer: EncoderLayer, x: Tensor) -> Tensor:
        """A layer with norms after its parts, as HuBERT Base's; with dropout, which `EncoderLayer` itself lacks."""
        attn = layer.self_attn
        q, k, v = (
            projection(x).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projection in (attn.q_proj, attn.k_proj, attn.v_proj)
        )
        dropout = self.settings.attention_dropout if self.training else 0.0
        heard = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(-2)
        x = layer.self_attn_layer_norm(x + self._dropped(attn.out_proj(heard)))
        return layer.final_layer_norm(x + self._dropped(layer.fc2(layer.fc1(x, gelu=True))))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.settings.dropout, self.training)

    def forward(self, inputs: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch.

        Args:
            inputs: (B, N) samples at 16 kHz, or what the front end makes of them, (B, T, channels).
            labels: (B, T) classes.
            mask: (B, T), true where a frame is hidden.

        Returns:
            The weighted mean of the losses of all frames that count, with the front end's penalty; and `MEASURES` (4,).
        """
        settings = self.settings
        features = self.features(inputs)
        x = self.final_proj(self.encode(features, mask))
        with torch.autocast(x.device.type, enabled=False):
            classes = F.normalize(self.label_embs_concat.float(), dim=-1, eps=1e-8)
            logits = F.linear(F.normalize(x.float(), dim=-1, eps=1e-8), classes) / settings.temperature
            losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
            weights = torch.where(mask, settings.masked_weight, settings.unmasked_weight)
            loss = (weights * losses).sum() / (weights > 0).sum() + settings.penalty * features.float().square().mean()
        with torch.no_grad():
            right = (logits.argmax(-1) == labels).float()
            means = [values[part].mean() for values in (losses, right) for part in (mask, ~mask)]
        return loss, torch.stack(means)
