"""What a downstream model sees of hidden states: layer-normalised, and of some tasks their mean over time."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from daisy.features.settings import View


def normalise(states: Tensor) -> Tensor:
    """Layer-normalise hidden states (..., D) over D, without affine parameters."""
    return F.layer_norm(states, states.shape[-1:])


def seen(view: View, states: Tensor) -> Tensor:
    """An utterance's hidden states (n, T, D) as (T, n, D), or as (1, n, D) if they are pooled."""
    if not view.pooled:
        states = normalise(states)
    elif view.normalise == "frames":
        states = normalise(states).mean(1, keepdim=True)
    else:
        states = normalise(states.mean(1, keepdim=True))
    return states.transpose(0, 1)
