"""DAISY behind s3prl's interfaces: an upstream with `hidden_states`, and the featurizer that weighs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daisy.downstream.fusion import LayerSum
from daisy.downstream.settings import Fusion
from daisy.features.seen import normalise
from daisy.hubert.early_exit import Granularity
from daisy.library.model import load


@dataclasses.dataclass(frozen=True)
class UpstreamSettings:
    """What the file behind s3prl's ``--upstream_model_config`` may say. Without the first six, nothing stops early.

    Attributes:
        rho: The scale of the task's threshold.
        strategy: ``avg``, ``min-max`` or ``threshold``.
        task: Whose calibration.
        threshold: In nats, every layer a candidate.
        layer: From 1, always there.
        budget: The share of the full model's arithmetic to spend on average; with `task`.
        granularity: Whether every utterance exits for itself or the whole batch at once.
        fusion: Whether all exits share the scalars by which states are weighed.
    """

    rho: float | None = None
    strategy: str | None = None
    task: str | None = None
    threshold: float | None = None
    layer: int | None = None
    budget: float | None = None
    granularity: Granularity = "utterance"
    fusion: Fusion = "dynamic"


class DaisyUpstream(nn.Module):
    """What s3prl calls an `UpstreamExpert`.

    Args:
        checkpoint: Any checkpoint that `daisy.load` reads.
        fusion: How a `DaisyFeaturizer` of it sums its states.
        granularity: Who exits, as in the call of `daisy.library.model.Daisy`.
        stopping: Where utterances may stop, as there.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        fusion: Fusion = "dynamic",
        granularity: Granularity = "utterance",
        **stopping: Any,
    ) -> None:
        super().__init__()
        self.model = load(checkpoint)
        self.model.exits(**stopping)  # so that a contradictory request fails here
        self.fusion, self.granularity, self.stopping = fusion, granularity, stopping
        # s3prl moves its upstreams as modules; the frozen encoder's weights follow.
        self.encoder, self.branches = self.model.checkpoint.encoder, self.model.checkpoint.branches

    def get_downsample_rates(self, key: str) -> int:
        """Samples per frame, whatever `key`: the model's hop, which is 320 for every published HuBERT."""
        return self.model.config.hop

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """Run a batch.

        Args:
            wavs: One (N,) float tensor at 16 kHz per utterance.

        Returns:
            ``hidden_states``: K + 1 tensors (B, T, D), zero in padding and behind an utterance's exit. A softmax over
            all K + 1 of them, as s3prl's own `Featurizer` has it, gives those zeros a share of the weight;
            `DaisyFeaturizer` does not. ``exit_layer``: per utterance k.
        """
        out = self.model(list(wavs), granularity=self.granularity, **self.stopping)
        longest = max(states.shape[1] for states in out.features)
        hidden = out.features[0].new_zeros(self.model.layers + 1, len(wavs), longest, self.model.dim)
        for row, states in enumerate(out.features):
            hidden[: len(states), row, : states.shape[1]] = states
        return {"hidden_states": list(torch.unbind(hidden)), "exit_layer": out.exit_layer}


class DaisyFeaturizer(nn.Module):
    """What stands where s3prl has its `Featurizer`: each utterance's states 0 to k, weighed as DAISY weighs them.

    Every state is layer-normalised over D without affine parameters, and the weights are a softmax over the first
    k + 1 of the learnt scalars, k the utterance's own exit (paper, section 2.2). If all utterances run through, this
    is s3prl's `Featurizer` with ``normalize=True``.

    Args:
        upstream: Whose states it weighs; its `fusion` says whether all exits share their scalars.

    Attributes:
        output_dim: D.
        downsample_rate: Samples per frame: the model's hop, which is 320 for every published HuBERT.
    """

    def __init__(self, upstream: DaisyUpstream) -> None:
        super().__init__()
        self.fusion = LayerSum(upstream.model.layers, upstream.fusion)
        self.output_dim = upstream.model.dim
        self.downsample_rate = upstream.get_downsample_rates("hidden_states")
        self._frames = upstream.model.config.frames

    @property
    def weights(self) -> Tensor:
        """(K + 1,) scalars of utterances that run through, without a gradient; s3prl's runner logs them."""
        return self.fusion.scalars.detach().view(-1, self.fusion.scalars.shape[-1])[-1]

    def forward(self, paired_wavs: Sequence[Tensor], paired_features: Mapping[str, Any]) -> list[Tensor]:
        """Sum the states of a batch.

        Args:
            paired_wavs: The (N,) waveforms that `DaisyUpstream` got, for their lengths.
            paired_features: What it returned.

        Returns:
            Per utterance (T, D), without padding.
        """
        exits: list[int] = paired_features["exit_layer"]
        states = normalise(torch.stack(list(paired_features["hidden_states"][: max(exits) + 1]), 2))
        features = self.fusion(states, torch.tensor(exits, device=states.device))
        return [row[: self._frames(len(wave))] for row, wave in zip(features, paired_wavs, strict=True)]
