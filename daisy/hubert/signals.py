"""How sure a branch is, in other ways than the paper's: signals of a layer's logits, or of these and the ones before.

Each is a number per frame, of which an utterance has the mean: of all its frames, or of a share of them. Smaller is
surer throughout, so that the exit rule and its threshold serve them all. To add one: its name in `daisy.exits.signals`,
and its measure here.

Shape suffixes: R frames of all utterances together, C classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from daisy.exits.signals import ENTROPY, SIGNALS, check_signal
from daisy.hubert.branches import Branches, frame_entropy
from daisy.hubert.config import Position
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import layer_by_layer
from daisy.hubert.packing import Packing


def top(logits: Tensor, before: Tensor | None = None) -> Tensor:
    """1 less the largest probability: logits (R, C) to (R,), from 0 to 1 - 1/C."""
    return 1 - _probabilities(logits).amax(-1)


def margin(logits: Tensor, before: Tensor | None = None) -> Tensor:
    """1 less what the largest probability is ahead of the second: logits (R, C) to (R,), from 0 to 1."""
    first, second = _probabilities(logits).topk(2).values.unbind(-1)
    return 1 - (first - second)


def disagreement(logits: Tensor, before: Tensor | None = None) -> Tensor:
    """1 where the most probable class is another one than at the layer before, or 0: (R, C) to (R,).

    Its mean is the share of frames at which two layers disagree. So an utterance is stopped by layers that say the
    same, as in patience-based early exit (Zhou et al., 2020, "BERT loses patience"), which asks for the class of the
    whole. At the first layer nothing agrees yet.
    """
    if before is None:
        return torch.ones_like(logits[..., 0], dtype=torch.float32)
    return (logits.argmax(-1) != before.argmax(-1)).float()


def divergence(logits: Tensor, before: Tensor | None = None) -> Tensor:
    """Jensen and Shannon's divergence from what the layer before says, in nats: (R, C) to (R,), from 0 to ln 2.

    At the first layer nothing agrees yet: it has the largest value there is.
    """
    own = _probabilities(logits)
    if before is None:
        return torch.full_like(own[..., 0], math.log(2))
    other = _probabilities(before)
    both = _entropy((own + other) / 2)
    return (both - (_entropy(own) + _entropy(other)) / 2).clamp_min(0.0)


def _entropy(probabilities: Tensor) -> Tensor:
    return torch.special.entr(probabilities).sum(-1)


def _probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits, -1, dtype=torch.float32)


def less_sure_half(values: Tensor) -> Tensor:
    """The mean over the larger half of an utterance's values, of an odd number the larger one: (T,) to ().

    So that silence and other easy frames do not vouch for the rest.
    """
    return values.sort(descending=True).values[: (values.shape[0] + 1) // 2].mean()


@dataclasses.dataclass(frozen=True)
class Measure:
    """A signal.

    Attributes:
        frames: What a frame has: of its logits, and of those of the layer before.
        pooled: What an utterance has of its frames (T,).
        looks_back: Whether the layer before matters.
    """

    frames: Callable[[Tensor, Tensor | None], Tensor]
    pooled: Callable[[Tensor], Tensor] = Tensor.mean
    looks_back: bool = False


def _entropies(logits: Tensor, before: Tensor | None = None) -> Tensor:
    return frame_entropy(logits)


MEASURES = {
    ENTROPY: Measure(_entropies),
    "least-sure": Measure(_entropies, less_sure_half),
    "top": Measure(top),
    "margin": Measure(margin),
    "agreement": Measure(disagreement, looks_back=True),
    "divergence": Measure(divergence, looks_back=True),
}
"""Every signal's measure."""


class SignalJudge:
    """Branches that are asked for another signal than their entropy: a judge as `daisy.hubert.judge` has it.

    Args:
        branches: The branches.
        signal: The signal's name.

    Raises:
        DaisyError: if there is no such signal.
    """

    def __init__(self, branches: Branches, signal: str) -> None:
        check_signal(signal)
        self._branches, self._measure = branches, MEASURES[signal]

    @property
    def looks_back(self) -> bool:
        """Whether the signal needs what the layer before says, as `measured` takes it and `entropy` does not."""
        return self._measure.looks_back

    def logits(self, k: int, states: Tensor) -> Tensor:
        """What branch k says: h_k (R, D) to (R, C)."""
        return self._branches(k, states)

    def measured(self, logits: Tensor, before: Tensor | None, packing: Packing) -> Tensor:
        """The signal of every utterance: logits (R, C), and those of the layer before if there is one, to (B,)."""
        values = self._measure.frames(logits, before)
        if self._measure.pooled is Tensor.mean:
            return packing.means(values)
        return torch.stack([self._measure.pooled(part) for part in packing.split(values)])

    def entropy(self, k: int, states: Tensor, packing: Packing) -> Tensor:
        """The signal of every utterance at layer k: h_k (R, D) to (B,)."""
        return self.measured(self.logits(k, states), None, packing)


@torch.no_grad()
def every_signal(
    encoder: Hubert, waves: Sequence[Tensor], branches: Branches, position: Position, signals: Sequence[str] = SIGNALS
) -> list[Tensor]:
    """(utterances, K) float64 per signal, of a batch that runs through all layers once."""
    judges = [SignalJudge(branches, signal) for signal in signals]
    found: list[list[Tensor]] = [[] for _ in signals]
    before = None
    for k, states, packing in layer_by_layer(encoder, waves, position):
        logits = branches(k, states)
        for values, judge in zip(found, judges, strict=True):
            values.append(judge.measured(logits, before, packing))
        before = logits
    return [torch.stack(values, 1).double() for values in found]
