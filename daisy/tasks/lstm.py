"""Bidirectional LSTM layers for padded batches, in which every utterance gets what it gets alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BidirectionalLSTM(nn.Module):
    """As `nn.LSTM` on a packed sequence, but several times faster to train on a CPU.

    There, the gradient of a packed sequence takes time that grows with the square of its length. Here every
    direction is an LSTM of its own on the padded batch; the backward one reads each utterance in reverse
    within its own length, so that padding comes last for both.

    Args:
        dim: Width of the input.
        hidden: Width of the output, per direction.
        layers: How many layers.
        dropout: Between layers.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [dim] + [2 * hidden] * (layers - 1)
        self.ahead = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.back = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, dim) with (B,) valid frames to (B, T, 2 * hidden); what stands in padding means nothing."""
        frames = torch.arange(x.shape[1], device=x.device)[None]
        reverse = torch.where(frames < lengths[:, None], lengths[:, None] - 1 - frames, frames)
        for place, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            if place:
                x = self.dropout(x)
            x = torch.cat([ahead(x)[0], _take(back(_take(x, reverse))[0], reverse)], -1)
        return x

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the gates for one utterance."""
        return frames * sum(value.numel() for name, value in self.named_parameters() if "weight" in name)


def _take(x: Tensor, places: Tensor) -> Tensor:
    """The frames `places` (B, T) of (B, T, D)."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[2]))
