"""WavLM's gated relative positions: what attention's scores get by how far apart two frames are.

Every head has a number for each bucket of distances, the same in all layers; a gate per frame, head and layer says how
much of it counts (Chen et al., 2021, section 3.2). A bias over all pairs of frames would take as much memory as
the scores, so `daisy.hubert.attention.biased` makes it of the numbers of 2 T - 1 distances, for some queries at a time.

Shape suffixes: B utterances, T frames, H heads, M the furthest distance.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from daisy.hubert.config import GATES, HubertConfig


def bucket(distance: int, buckets: int, furthest: int) -> int:
    """The bucket of a key that lies so many frames behind its query; before it, if negative.

    Half of the buckets are for keys behind. Of each half, one half has a distance each, and the other one distances on
    a logarithmic scale up to `furthest`.
    """
    half = buckets // 2
    exact, far = half // 2, abs(distance)
    if far >= exact:
        share = math.log(far / exact) / math.log(furthest / exact)
        far = min(half - 1, exact + int(share * (half - exact)))
    return far + (half if distance > 0 else 0)


class RelativePositions(nn.Embedding):
    """A number for each bucket and head."""

    places: Tensor

    def __init__(self, config: HubertConfig) -> None:
        super().__init__(config.buckets, config.heads)
        self.furthest = furthest = config.furthest
        places = [bucket(distance, config.buckets, furthest) for distance in range(-furthest, furthest + 1)]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def by_distance(self) -> Tensor:
        """(H, 2 M + 1): the numbers of distances from -M to M."""
        return self.weight[self.places].T

    def strip(self, time: int) -> Tensor:
        """(H, 2 T - 1): the numbers of all distances between so many frames, in float32."""
        distances = torch.arange(1 - time, time, device=self.weight.device).clamp(-self.furthest, self.furthest)
        return self.by_distance().float()[:, distances + self.furthest].contiguous()

    def pairs(self, time: int) -> Tensor:
        """(H, T, T): the numbers by query and key, by operations that do not mind that T is only known later."""
        frames = torch.arange(time, device=self.weight.device)
        distances = (frames[None] - frames[:, None]).clamp(-self.furthest, self.furthest)
        return self.by_distance()[:, distances + self.furthest]


@dataclasses.dataclass
class Gated:
    """What is added to the scores of one layer.

    Attributes:
        positions: The numbers by distance.
        gate: (R, H), or (B, T, H) in a padded batch: how much of them counts, by query.
    """

    positions: RelativePositions
    gate: Tensor

    def pairs(self, time: int) -> Tensor:
        """(H, T, T): the whole bias of one utterance, by query and key."""
        return self.gate.T[..., None] * self.positions.pairs(time)


def gate_of(projected: Tensor, scale: Tensor) -> Tensor:
    """(..., H, 8) of the gates' linear layer, and (H,) of the heads, to (..., H) in float32."""
    one, other = projected.float().unflatten(-1, (2, GATES // 2)).sum(-1).sigmoid().unbind(-1)
    return one * (other * scale.float() - 1) + 2
