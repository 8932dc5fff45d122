"""A training step of all branches against the frozen model's forward pass alone.

Table `training`: a row per precision. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `precision`; `branches`: how many; `seconds`: audio of the step's batch.
- `memory_mb`: on a GPU, the most that torch held during a step; `formula_mb`: what `benchmarks.memory` says of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch

from benchmarks.clock import SPREAD, row
from benchmarks.memory import CONTEXT, step_bytes
from benchmarks.model import in_precision, mixed_recordings, outputs, random_model
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.branches.train import branch_loss, frozen_states, optimizer_of
from daisy.common.audio import SAMPLE_RATE
from daisy.common.batches import batches
from daisy.common.compute import Precision
from daisy.common.speed import take_turns
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint

COLUMNS = (*SPREAD, "precision", "branches", "seconds", "memory_mb", "formula_mb")


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    model = random_model(options)
    config = model.encoder.config
    trained = branches_of(model)
    optimizer = optimizer_of(trained, 1e-3)
    recordings = mixed_recordings(options.count, options)
    # The batch in the middle, as stages make them.
    groups = batches([len(wave) for wave in recordings], 4 * options.seconds)
    waves = [recordings[index] for index in groups[len(groups) // 2]]
    frames = sum(config.frames(len(wave)) for wave in waves)
    targets = torch.randint(
        options.classes, (frames,), generator=torch.Generator().manual_seed(options.seed), device="cpu"
    ).to(options.place)

    def step(precision: Precision) -> None:
        compute = options.compute(precision)
        compute.place()
        optimizer.zero_grad()
        states = frozen_states(model, waves, compute)
        with compute.autocast():
            loss, _ = branch_loss(trained, states, targets)
        loss.backward()
        optimizer.step()

    def alone(precision: Precision) -> None:
        outputs(model.encoder, waves, config.layers)

    works: dict[str, Callable[[], object]] = {}
    for precision in options.precisions:
        works[f"forward {precision}"] = in_precision(options, precision, functools.partial(alone, precision))
        works[f"step {precision}"] = functools.partial(step, precision)
    taken = take_turns(works, options.rounds("training"))
    seconds = sum(map(len, waves)) / SAMPLE_RATE
    more = {"branches": config.layers, "seconds": seconds}
    for precision in options.precisions:
        held = memory_of(works[f"step {precision}"], options) | {"formula_mb": formula(options, precision, seconds)}
        yield row(taken, f"step {precision}", f"forward {precision}", precision=precision, **more, **held)
    for precision in options.precisions[1:]:
        yield row(taken, f"step {precision}", "step float32", precision=precision, **more)


def memory_of(step: Callable[[], object], options: Options) -> dict[str, float]:
    """The most that torch holds on a GPU during a step, in MB; nothing on a CPU."""
    if options.device == "cpu":
        return {}
    torch.cuda.reset_peak_memory_stats()
    step()
    return {"memory_mb": torch.cuda.max_memory_allocated() / 1e6}


def formula(options: Options, precision: Precision, seconds: float) -> float | None:
    """What that should be, in MB; the front end of a CPU works in stretches, and needs less."""
    if options.device == "cpu":
        return None
    found = step_bytes(options.shape, options.classes, seconds, precision == "bfloat16")
    return (found["peak"] - CONTEXT) / 1e6


def branches_of(model: Checkpoint) -> Branches:
    """A model's branches, ready to learn."""
    assert model.branches is not None
    return model.branches.requires_grad_(True)
