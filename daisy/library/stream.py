"""Recordings one after the other, kept to a budget while their noise changes.

stream = daisy.load("tiny").stream(budget=0.6, task="asr")
for wave in waves:
    out = stream([wave])
stream.share  # what was spent so far, of the full model's arithmetic
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from daisy.exits.budget import Controller, within
from daisy.exits.request import spending_of
from daisy.exits.rule import ExitRule
from daisy.library.arithmetic import spent

if TYPE_CHECKING:
    from daisy.library.model import Daisy, Output


class Stream:
    """A model that keeps a stream of recordings at a share of the full model's arithmetic.

    Args:
        model: With branches, and a calibration of the task.
        budget: The share.
        task: Whose calibration.

    Raises:
        DaisyError: if the budget cannot be kept, or the model lacks branches or that calibration.
    """

    def __init__(self, model: Daisy, budget: float, task: str) -> None:
        model.exits(budget=budget, task=task)  # what is wrong with the request is said here
        self._model, self._task = model, task
        self._known = spending_of(model.calibrations, task)
        self._controller = Controller(budget, self._known)

    @property
    def share(self) -> float:
        """What was spent so far, of the full model's arithmetic; NaN before the first call."""
        return self._controller.share

    @property
    def bound(self) -> float:
        """How far `share` can be from the budget by now (`daisy.exits.budget.Controller`)."""
        return self._controller.bound

    def __call__(self, waveforms: Sequence[Tensor | np.ndarray]) -> Output:
        """Run what comes next: one recording, or a batch, all of which get one threshold.

        Raises:
            DaisyError: if a waveform is none.
        """
        candidates, tau = within(self._known, self._model.layers, self._controller.asked)
        signal = self._model.calibrations[self._task].signal
        out = self._model.run(waveforms, candidates, tau, signal)
        if out.exit_layer:
            upstream, rule = self._model.upstream(signal), ExitRule(candidates, tau)
            pairs = list(zip(waveforms, out.exit_layer, strict=True))
            full = sum(self._model.config.macs(len(wave), self._model.layers) for wave, _ in pairs)
            self._controller.note(sum(spent(upstream, rule, len(wave), layer) for wave, layer in pairs), full)
        return out
