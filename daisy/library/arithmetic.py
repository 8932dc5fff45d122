"""What early exit spends: multiply-accumulate operations of encoder and asked branches, without a downstream model."""

from __future__ import annotations

import numpy as np

from daisy.exits.rule import ExitRule, all_candidates
from daisy.hubert.early_exit import EarlyExitHubert


def spent(upstream: EarlyExitHubert, rule: ExitRule, samples: int, layer: int) -> int:
    """The operations of a recording of `samples` samples that stops at `layer`."""
    config = upstream.encoder.config
    branches = sum(upstream.runs_branch(rule, k) for k in range(1, layer + 1))
    return config.macs(samples, layer) + branches * upstream.branch_macs(config.frames(samples))


def costs(upstream: EarlyExitHubert, frames: np.ndarray, floor: int) -> tuple[np.ndarray, np.ndarray]:
    """What recordings spend by where they stop, every layer from a floor on a candidate.

    Args:
        upstream: The model.
        frames: (N,) of every recording, of which there may be a hop's samples more than are taken here.
        floor: The first candidate.

    Returns:
        (N, K) operations of who stops at a layer, asked branches included, and (N,) those of the full model.
    """
    config, layers = upstream.encoder.config, upstream.layers
    rule = ExitRule(all_candidates(floor, layers))
    lengths, which = np.unique(frames, return_inverse=True)
    samples = [(int(count) - 1) * config.hop + config.receptive_field for count in lengths]
    asking = [[spent(upstream, rule, number, k) for k in range(1, layers + 1)] for number in samples]
    full = [config.macs(number, layers) for number in samples]
    return np.array(asking, float)[which], np.array(full, float)[which]
