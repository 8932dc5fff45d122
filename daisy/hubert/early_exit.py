"""HuBERT with exit branches: a forward pass that stops as soon as a branch is sure enough.

By default every utterance takes its own exit: one that stops leaves the batch, so that the remaining
layers run on the others only, and nothing an utterance gets depends on its batch mates.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from daisy.exits.rule import ExitRule
from daisy.exits.signals import ENTROPY
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.config import States
from daisy.hubert.encoder import Padding
from daisy.hubert.every_layer import every_layer, first_state, state_of
from daisy.hubert.judge import Judge
from daisy.hubert.kept_states import KeptStates
from daisy.hubert.packing import Packing, Windowed
from daisy.hubert.signals import SignalJudge
from daisy.hubert.windows import Windows

Granularity = Literal["utterance", "batch", "window"]
"""Who exits: every `utterance` by itself, or the whole `batch` by the mean over its valid frames, as the
published code does, or every `window` of a long recording by itself."""


@dataclasses.dataclass(frozen=True)
class WindowExit:
    """What one window of a recording got.

    Attributes:
        begin: Its first frame.
        end: Behind its last one; the next window's first.
        layer: k, the layer at which it stopped.
        entropies: (K,) as an utterance has them.
    """

    begin: int
    end: int
    layer: int
    entropies: list[float]


@dataclasses.dataclass(frozen=True)
class Exit:
    """What one utterance got.

    Attributes:
        layer: k, the layer at which it stopped.
        states: (k + 1, T, D): state 0, then h_1 to h_k. On a GPU, and beside a long recording, a part of one tensor of
            the whole batch.
        entropies: (K,) E_k in nats, or the signal that is asked in its place; NaN where nobody was asked.
        windows: Its windows, if each stopped by itself. Then k is the largest of theirs, states that a window did not
            reach are zero there, and E_k is the mean over the frames of those that were asked.
    """

    layer: int
    states: Tensor
    entropies: list[float]
    windows: list[WindowExit] = dataclasses.field(default_factory=list)


class EarlyExitHubert:
    """A frozen HuBERT with its branches.

    Args:
        checkpoint: The encoder, and the branches if exits are wanted.
        signal: What the branches are asked for (`daisy.exits.signals`).

    Raises:
        DaisyError: if there is no such signal.
    """

    def __init__(self, checkpoint: Checkpoint, signal: str = ENTROPY) -> None:
        self.encoder, self.branches, self.position = checkpoint.encoder, checkpoint.branches, checkpoint.position
        own = self.branches
        self._judge: Judge | None = own if own is None or signal == ENTROPY else SignalJudge(own, signal)
        self.layers = self.encoder.config.layers

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.device

    def runs_branch(self, rule: ExitRule, k: int) -> bool:
        """Whether the branch of layer k is run by a rule: where it is asked, or the next one is and looks back."""
        looks_back = isinstance(self._judge, SignalJudge) and self._judge.looks_back
        return rule.asks(k) or (looks_back and rule.asks(k + 1))

    def branch_macs(self, frames: int) -> int:
        """Multiply-accumulate operations of one branch; none without branches."""
        return 0 if self.branches is None else self.branches.macs(frames)

    @torch.no_grad()
    def run(
        self,
        waves: Sequence[Tensor],
        *,
        candidates: Sequence[int],
        tau: float = 0.0,
        granularity: Granularity = "utterance",
        padding: Padding = "exact",
        states: States | None = None,
        judge: Judge | None = None,
        windows: Windows | None = None,
        latest: bool = False,
    ) -> list[Exit]:
        """Run a batch until every utterance has stopped.

        The largest candidate ends the pass whatever its entropy, so its branch is not asked; a single
        candidate is therefore a fixed exit, and needs no branches.

        Args:
            waves: One (N,) float tensor at 16 kHz per utterance.
            candidates: Layers, from 1, at which an utterance may stop.
            tau: The threshold, in nats or in the signal's unit.
            granularity: Whether each utterance, the whole batch or each window of a long recording exits.
            padding: How a batch of several lengths is computed.
            states: Which hidden states are wanted; by default those that the branches read.
            judge: Who is asked at a candidate, about the states that are wanted; by default the model's own branches,
                by its signal.
            windows: How long recordings are cut.
            latest: Whether only the state at the exit is wanted, and `states` of an Exit are (1, T, D).

        Returns:
            One Exit per utterance, in order.

        Raises:
            ValueError: if there is no candidate, or one that is no layer, or several but no branches.
        """
        states = states or self.position
        asked = self.position if judge is None else states
        judge = judge or self._judge
        rule = rule_of(candidates, tau, self.layers, judge is not None)
        frames = self.encoder.front_end(waves, padding, windows, rule.last)
        batch = _Batch(frames.packing, self.layers, rule.last, granularity, latest)
        x = self.encoder.before_layers(frames)
        batch.keep_states(first_state(states, frames, x))
        del frames  # whose states nobody needs any more: of an hour half a gigabyte
        pair = judge if isinstance(judge, SignalJudge) and judge.looks_back else None
        said: list[Tensor] = []
        for k in range(1, rule.last + 1):
            x, inner = self.encoder.layer(k, x, batch.packing)
            batch.keep_states(state_of(states, self.encoder, k, x, inner).to(x.dtype))
            before, said = said, []
            if pair is not None and self.runs_branch(rule, k):
                said = [pair.logits(k, state_of(asked, self.encoder, k, x, inner))]
            if rule.asks(k):
                assert judge is not None
                if pair is not None:
                    entropy = pair.measured(said[0], before[0] if before else None, batch.packing)
                else:
                    entropy = judge.entropy(k, state_of(asked, self.encoder, k, x, inner), batch.packing)
                x, *said = batch.stop(k, [x, *said], entropy, rule)
                if not batch.active:
                    break
        batch.stop_all(rule.last)
        return batch.found()

    def all_layers(self, waves: Sequence[Tensor], windows: Windows | None = None) -> list[Exit]:
        """Every state and every entropy of a batch: a pass that asks all branches and never stops."""
        runs = every_layer(self.encoder, waves, self.position, self.branches, self.position, windows=windows)
        return [Exit(self.layers, item.states, item.entropies) for item in runs]


def rule_of(candidates: Sequence[int], tau: float, layers: int, asks: bool) -> ExitRule:
    """The exit rule of a pass.

    Args:
        candidates: Layers, from 1, at which an utterance may stop.
        tau: The threshold.
        layers: K.
        asks: Whether there is somebody to ask at a candidate.

    Raises:
        ValueError: if there is no candidate, or one that is no layer, or several but nobody to ask.
    """
    rule = ExitRule(tuple(candidates), tau)
    if not 1 <= rule.candidates[0] <= rule.last <= layers:
        raise ValueError(f"candidates {rule.candidates} are not layers from 1 to {layers}")
    if len(rule.candidates) > 1 and not asks:
        raise ValueError("several candidates need exit branches")
    return rule


class _Batch:
    """The utterances that are still running, and what each has gathered so far.

    Args:
        packing: The whole batch.
        layers: K.
        last: The last layer that may run.
        granularity: Who exits. If it is a window, the windows are the utterances here.
        latest: Whether only the state at the exit is wanted.
    """

    def __init__(self, packing: Packing, layers: int, last: int, granularity: Granularity, latest: bool) -> None:
        self._whole, self._granularity, self._latest = packing, granularity, latest
        self.packing = packing.apart() if granularity == "window" and isinstance(packing, Windowed) else packing
        self.active = list(range(len(self.packing.lengths)))
        self.states = KeptStates(self.packing, last + 1, latest)
        self.entropies = [[float("nan")] * layers for _ in self.active]
        self.exits: list[Exit | None] = [None] * len(self.active)

    def keep_states(self, h: Tensor) -> None:
        """Give every running utterance its rows of h (R, D)."""
        self.states.add(h, self.packing)

    def keep_entropies(self, k: int, entropy: Tensor) -> None:
        """Note E_k (B,) of the running utterances."""
        for index, value in zip(self.active, entropy.tolist(), strict=True):
            self.entropies[index][k - 1] = value

    def measured(self) -> np.ndarray:
        """(B, K) entropies of the running utterances by which each stops: its own, or the whole batch's."""
        rows = [self.entropies[index] for index in self.active]
        if self._granularity == "batch":
            counts = self.packing.lengths
            columns = (zip(column, counts, strict=True) for column in zip(*rows, strict=True))
            rows = [[sum(value * count for value, count in column) / sum(counts) for column in columns]] * len(rows)
        return np.array(rows)

    def stop(self, k: int, kept: list[Tensor], entropy: Tensor, rule: ExitRule) -> list[Tensor]:
        """End the utterances that are sure enough; return what is `kept`, each (R, D), without them."""
        self.keep_entropies(k, entropy)
        stops = rule.stops(k, self.measured()).tolist()
        if not any(stops):
            return kept
        for index in itertools.compress(self.active, stops):
            self._finish(index, k)
        stay = [row for row, ends in enumerate(stops) if not ends]
        self.active = [self.active[row] for row in stay]
        if not stay:
            return kept
        self.states.go_on(self.active)
        self.packing, left = self.packing.only(stay, *kept)
        return left

    def stop_all(self, k: int) -> None:
        """End whoever is still running at layer k."""
        for index in self.active:
            self._finish(index, k)
        self.active = []

    def _finish(self, index: int, k: int) -> None:
        self.exits[index] = Exit(k, self.states.of(index), self.entropies[index])

    def found(self) -> list[Exit]:
        """What every recording got."""
        exits = [exit for exit in self.exits if exit is not None]
        if self._granularity != "window":
            return exits
        if not isinstance(self._whole, Windowed):
            return [dataclasses.replace(one, windows=_windows([one])) for one in exits]
        ends = list(itertools.accumulate(map(len, self._whole.windows), initial=0))
        return [self._joined(exits, range(*bounds)) for bounds in itertools.pairwise(ends)]

    def _joined(self, exits: Sequence[Exit], indices: range) -> Exit:
        """What a recording got whose windows are these."""
        windows = _windows([exits[index] for index in indices])
        layer = max(one.layer for one in windows)
        rows = np.array([one.entropies for one in windows])
        counts = np.array([[one.end - one.begin] for one in windows]) * np.isfinite(rows)
        asked = counts.sum(0)
        sums = (np.nan_to_num(rows) * counts).sum(0)
        mean = np.divide(sums, asked, out=np.full(len(sums), np.nan), where=asked > 0)
        states = self.states.across(indices, 1 if self._latest else layer + 1)
        return Exit(layer, states, mean.tolist(), windows)


def _windows(exits: Sequence[Exit]) -> list[WindowExit]:
    """The windows of one recording, of what each got."""
    bounds = itertools.pairwise(itertools.accumulate((one.states.shape[1] for one in exits), initial=0))
    return [WindowExit(*bound, one.layer, one.entropies) for bound, one in zip(bounds, exits, strict=True)]
