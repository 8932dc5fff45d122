"""A whole system at work: recording in, prediction out, with the exit really taken."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from daisy.downstream.cells import Cell
from daisy.features.seen import seen
from daisy.hubert.early_exit import EarlyExitHubert


@torch.inference_mode()
def predict(upstream: EarlyExitHubert, cell: Cell, wave: Tensor) -> tuple[Any, int]:
    """Run one recording (samples,) through upstream and downstream: the prediction and the exit layer."""
    view, rule = cell.model.view, cell.rule
    (item,) = upstream.run(
        [wave.to(upstream.device)],
        candidates=rule.candidates,
        tau=rule.tau,
        states=view.states,
        judge=cell.judge,
    )
    states = seen(view, item.states)
    frames = torch.tensor([len(states)])
    output = cell.model(states[None], torch.tensor([item.layer], device=states.device), frames)
    return cell.model.task.predict(output, frames, [wave])[0], item.layer


def macs(upstream: EarlyExitHubert, cell: Cell, samples: int, layer: int) -> int:
    """Multiply-accumulate operations for a recording of `samples` samples that stops at `layer`.

    Encoder, branches or heads that were asked, and the downstream head; not the norms and the weighted sum.
    """
    config = upstream.encoder.config
    frames = config.frames(samples)
    total = config.macs(samples, layer) + cell.model.macs(frames)
    passed = range(1, layer + 1)
    if cell.judge is not None:
        # Only a task's own heads judge in place of the branches, and one of them is the model's whole work.
        total += sum(map(cell.rule.asks, passed)) * cell.model.macs(frames)
    else:
        total += sum(upstream.runs_branch(cell.rule, k) for k in passed) * upstream.branch_macs(frames)
    return total
