"""DAISY behind s3prl's upstream interface, for toolkits that expect `hidden_states` and a downsample rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daisy.library.model import load


class DaisyUpstream(nn.Module):
    """What s3prl calls an `UpstreamExpert`.

    Args:
        checkpoint: Any checkpoint that `daisy.load` reads.
        stopping: Where utterances may stop: the keyword arguments of `daisy.library.model.Daisy`'s call.
    """

    def __init__(self, checkpoint: str | Path, **stopping: Any) -> None:
        super().__init__()
        self.model = load(checkpoint)
        self.model.exits(**stopping)  # so that a contradictory request fails here
        self.stopping = stopping
        # s3prl moves its upstreams as modules; the frozen encoder's weights follow.
        self.encoder, self.branches = self.model.checkpoint.encoder, self.model.checkpoint.branches

    def get_downsample_rates(self, key: str) -> int:
        """Samples per frame, whatever `key`: 320."""
        return self.model.config.hop

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """Run a batch.

        Args:
            wavs: One (N,) float tensor at 16 kHz per utterance.

        Returns:
            ``hidden_states``: K + 1 tensors (B, T, D), zero in padding and behind an utterance's exit, so that
            a weighted sum counts what was computed and no more; ``exit_layer``: per utterance k.
        """
        out = self.model(list(wavs), **self.stopping)
        longest = max(states.shape[1] for states in out.features)
        hidden = out.features[0].new_zeros(self.model.layers + 1, len(wavs), longest, self.model.dim)
        for row, states in enumerate(out.features):
            hidden[: len(states), row, : states.shape[1]] = states
        return {"hidden_states": list(torch.unbind(hidden)), "exit_layer": out.exit_layer}
