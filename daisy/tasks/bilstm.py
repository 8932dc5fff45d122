"""A bidirectional LSTM over padded batches, fast on a CPU.

torch's own runs packed sequences step by step; padded ones go through oneDNN, in less than half the time
(`nn.LSTM`, forward and backward, one thread). What keeps the padding out here is the order of the
frames: the backward direction reads every utterance from its own last frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.common.transfer import handed


class BiLSTM(nn.Module):
    """Bidirectional LSTM layers; every utterance gets what it gets alone.

    Args:
        dim: Width of the input.
        hidden: Width of one direction; the output is twice as wide.
        layers: How many; with none, the output is the input.
        dropout: Between layers.

    Attributes:
        width: Of the output.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [dim, *[2 * hidden] * layers]
        self.width = widths.pop()
        self.forwards = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, dim) with (B,) valid frames to (B, T, width); what lies behind the valid frames is undefined."""
        if x.is_cuda and torch.is_autocast_enabled("cuda"):
            # There autocast takes an LSTM to float16, whatever it was asked for, where gradients vanish unscaled.
            with torch.autocast("cuda", enabled=False):
                return self(x.float(), lengths)
        place = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        last = handed(lengths, x.device)[:, None] - 1
        mirror = torch.where(place <= last, last - place, place)[..., None]
        for number, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if number:
                x = F.dropout(x, self.dropout, self.training)
            mirrored = backwards(x.gather(1, mirror.expand_as(x)))[0]
            x = torch.cat([forwards(x)[0], mirrored.gather(1, mirror.expand_as(mirrored))], dim=-1)
        return x

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the gates."""
        return frames * sum(value.numel() for name, value in self.named_parameters() if ".weight_" in name)
