"""A training step of all branches against the frozen model's forward pass alone.

Table `training`: a row per precision. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `precision`; `branches`: how many; `seconds`: audio of the step's batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch

from benchmarks.clock import SPREAD, row, take_turns
from benchmarks.limit import PRECISIONS
from benchmarks.model import by_precision, in_precision, mixed_recordings, outputs, random_model
from benchmarks.options import Options, Precision
from benchmarks.table import Row
from daisy.audio import SAMPLE_RATE
from daisy.batches import batches
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint
from daisy.train_branches import branch_loss, frozen_states

COLUMNS = (*SPREAD, "precision", "branches", "seconds")


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    model = random_model(options)
    own, config = by_precision(model), model.encoder.config
    trained = {precision: branches_of(copied) for precision, copied in own.items()}
    optimizers = {precision: torch.optim.Adam(branches.parameters()) for precision, branches in trained.items()}
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
        optimizers[precision].zero_grad()
        states = frozen_states(own[precision], waves, compute)
        with compute.autocast():
            loss, _ = branch_loss(trained[precision], states, targets)
        loss.backward()
        optimizers[precision].step()

    def alone(precision: Precision) -> None:
        outputs(own[precision].encoder, waves, config.layers)

    works: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        works[f"forward {precision}"] = in_precision(options, precision, functools.partial(alone, precision))
        works[f"step {precision}"] = functools.partial(step, precision)
    taken = take_turns(works, options.rounds("training"), options.place)
    seconds = sum(map(len, waves)) / SAMPLE_RATE
    more = {"branches": config.layers, "seconds": seconds}
    for precision in PRECISIONS:
        yield row(taken, f"step {precision}", f"forward {precision}", precision=precision, **more)
    yield row(taken, "step bfloat16", "step float32", precision="bfloat16", **more)


def branches_of(model: Checkpoint) -> Branches:
    """A model's branches, ready to learn."""
    assert model.branches is not None
    return model.branches.requires_grad_(True)
