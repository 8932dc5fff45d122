"""Where the CPU waits for the GPU: not within a pass or a step of a training, and once to read what a step gave."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pieces import GOLDEN, MODEL, OPTIONS, TASKS
from torch import Tensor

from daisy.branches.train import branch_loss, frozen_states, optimizer_of
from daisy.common import audio
from daisy.common.compute import Compute
from daisy.common.transfer import Sent, handed, located
from daisy.downstream.model import Downstream
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.every_layer import entropies_of
from daisy.tasks.loading import task_class
from daisy.tasks.masking import Sources
from daisy.training.workers import Workers

CALLED = "called a synchronizing"
"""Of torch's warnings, the one about a wait; the first one of a process is about the mode itself."""


@contextlib.contextmanager
def waits(device: str) -> Iterator[list[str]]:
    """Lists, once it is over, the lines at which the CPU waited for the GPU."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            if device == "cuda":
                torch.cuda.set_sync_debug_mode("default")
            found += [f"{item.filename}:{item.lineno}" for item in told if CALLED in str(item.message)]


@pytest.fixture(scope="module")
def compute(device: str) -> Compute:
    """As a training at the paper's scale."""
    return Compute(device, "bfloat16")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(compute: Compute) -> Checkpoint:
    """The embedded model with branches, on the device."""
    found = copy.deepcopy(load(MODEL))
    shape = found.encoder.config
    found.branches = Branches(shape.layers, 50, shape.dim)
    found.branches.reset(torch.Generator().manual_seed(0))
    return found.to(compute.place())


@pytest.fixture(scope="module")
def sent(compute: Compute) -> Sent:
    """Recordings of several lengths, on their way to it."""
    return Sent([audio.read(path) for path in sorted(GOLDEN.glob("*.wav"))], located(compute.place()))


def twice(work: Callable[[], Any], device: str) -> tuple[Any, list[str]]:
    """What a work gives, and where it waits, once all that is made ready once is ready."""
    work()
    with waits(device) as found:
        result = work()
    return result, found


@pytest.mark.only_gpu
def test_a_wait_is_seen(device: str) -> None:
    with waits(device) as found:
        float(torch.ones(1, device=device))
        torch.ones(1).to(device)
        handed(torch.ones(1), torch.device(device))
    assert len(found) == 2, found


def test_a_pass_waits_nowhere(device: str, model: Checkpoint, compute: Compute, sent: Sent) -> None:
    branches = model.branches
    assert branches is not None

    def run() -> Tensor:
        with compute.autocast():
            return entropies_of(model.encoder, sent.arrived(), branches, "after-norm")

    entropies, found = twice(run, device)
    assert entropies.isfinite().all() and not found, found


def test_a_step_of_branches_waits_for_its_loss_alone(
    device: str, model: Checkpoint, compute: Compute, sent: Sent
) -> None:
    branches, workers = model.branches, Workers()
    assert branches is not None
    optimizer = optimizer_of(branches, 0.01)
    counts = [model.encoder.config.frames(len(wave)) for wave in sent.arrived()]
    targets = Sent([torch.arange(sum(counts)) % 50], located(compute.place()))

    def loss(waves: Sent) -> tuple[Tensor, Tensor]:
        states = frozen_states(model, waves.arrived(), compute)
        with compute.autocast():
            return branch_loss(branches, states, *targets.arrived())

    def step() -> Tensor | None:
        optimizer.zero_grad()
        given = workers.backward([(1.0, sent)], loss, branches.parameters())
        optimizer.step()
        return given

    given, found = twice(step, device)
    assert not found, found
    with waits(device) as found:
        values = workers.reading(given)()
    assert len(values) == 1 + model.encoder.config.layers and len(found) <= 1, found


@pytest.mark.parametrize("task", TASKS)
def test_a_downstream_step_waits_nowhere(device: str, compute: Compute, task: str, tell: Callable[[str], None]) -> None:
    """But for CTC, whose own kernel may; where it does is told."""
    place = compute.place()
    torch.manual_seed(0)
    trained = Downstream(task_class(task)(OPTIONS[task], ["a", "b"]), 4, 16, "dynamic").to(place)
    signals = [torch.randn(count) for count in (12000, 9000)]
    sources = [Sources(wave, torch.stack([wave] * (2 if task == "ss" else 1))) for wave in signals]
    examples: list[Any] = {"sid": [0, 1], "asr": ["ab", "ba"]}.get(task, sources)
    states, exits, frames = torch.randn(2, 37, 4, 16).to(place), torch.tensor([3, 2]), torch.tensor([37, 28])

    def step() -> Tensor:
        trained.zero_grad()
        with compute.autocast():
            output = trained(states, handed(exits, states.device), frames)
        loss: Tensor = trained.task.loss(output.float(), frames, examples)
        loss.backward()
        return loss.detach()

    loss, found = twice(step, device)
    assert loss.isfinite()
    if task == "asr" and found:
        tell(f"a step of ASR waits for the GPU at {', '.join(found)}")
    else:
        assert not found, found
