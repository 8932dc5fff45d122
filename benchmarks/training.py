"""A training step of all branches against the frozen model's forward pass alone.

Table `training`: a row per precision. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `precision`; `branches`: how many; `seconds`: audio of the step's batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch

from benchmarks.clock import SPREAD, row
from benchmarks.limit import PRECISIONS
from benchmarks.model import in_precision, mixed_recordings, outputs, random_model
from benchmarks.options import Options, Precision
from benchmarks.table import Row
from daisy.branches.train import branch_loss, frozen_states, optimizer_of
from daisy.common.audio import SAMPLE_RATE
from daisy.common.batches import batches
from daisy.common.speed import take_turns
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint

COLUMNS = (*SPREAD, "precision", "branches", "seconds")


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
        optimizer.zero_grad()
        states = frozen_states(model, waves, compute)
        with compute.autocast():
            loss, _ = branch_loss(trained, states, targets)
        loss.backward()
        optimizer.step()

    def alone(precision: Precision) -> None:
        outputs(model.encoder, waves, config.layers)

    works: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        works[f"forward {precision}"] = in_precision(options, precision, functools.partial(alone, precision))
        works[f"step {precision}"] = functools.partial(step, precision)
    taken = take_turns(works, options.rounds("training"))
    seconds = sum(map(len, waves)) / SAMPLE_RATE
    more = {"branches": config.layers, "seconds": seconds}
    for precision in PRECISIONS:
        yield row(taken, f"step {precision}", f"forward {precision}", precision=precision, **more)
    yield row(taken, "step bfloat16", "step float32", precision="bfloat16", **more)


def branches_of(model: Checkpoint) -> Branches:
    """A model's branches, ready to learn."""
    assert model.branches is not None
    return model.branches.requires_grad_(True)
