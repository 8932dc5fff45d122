"""The published code's way of exiting early, on torchaudio's HuBERT in plain torch modules with the same weights.

One pass over a padded batch, whose first group norm sees the padding; at every candidate the softmax of the branch,
its logarithm, and one entropy over all valid frames; and one exit for all recordings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import torchaudio_model
from daisy.hubert.checkpoint import Checkpoint


class Published:
    """A model as the published code runs it.

    Args:
        model: The model, of Base's kind, whose branches read the layers' outputs.
    """

    def __init__(self, model: Checkpoint) -> None:
        if model.branches is None or model.position != "after-norm":
            raise ValueError("branches on the layers' outputs are needed")
        self.hubert: Any = torchaudio_model(model)
        self.heads = [
            nn.utils.skip_init(nn.Linear, *reversed(weight.shape), device=weight.device)
            for weight in model.branches.weight
        ]
        for k, head in enumerate(self.heads):
            head.load_state_dict({"weight": model.branches.weight[k], "bias": model.branches.bias[k]})

    @torch.no_grad()
    def __call__(self, waves: Sequence[Tensor], candidates: Collection[int], tau: float) -> tuple[int, list[float]]:
        """Run a batch to its exit: the layer, and the entropies of the candidates that were asked."""
        states, entropies = self._run(waves, candidates, tau)
        return len(states) - 1, entropies

    def _run(
        self, waves: Sequence[Tensor], candidates: Collection[int], tau: float
    ) -> tuple[list[Tensor], list[float]]:
        padded = nn.utils.rnn.pad_sequence(list(waves), batch_first=True)
        lengths = torch.tensor([len(wave) for wave in waves], device=padded.device)
        x, frames = self.hubert.feature_extractor(padded, lengths)
        alike = bool((frames == frames[0]).all())
        valid = torch.arange(x.shape[1], device=x.device)[None] < frames[:, None]
        x, mask = self.hubert.encoder._preprocess(x, None if alike else frames)
        transformer = self.hubert.encoder.transformer
        states, entropies = [x], []
        x = transformer._preprocess(x)
        for k in range(1, max(candidates) + 1):
            x, _ = transformer.layers[k - 1](x, mask)
            states.append(x)
            if k in candidates:
                p = torch.softmax(self.heads[k - 1](x), dim=-1)
                entropies.append(float(-(p * torch.log(p)).sum(-1)[valid].mean()))
                if entropies[-1] <= tau:
                    break
        return states, entropies
