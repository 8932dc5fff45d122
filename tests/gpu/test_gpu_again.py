"""The same numbers again: two runs, and a run that is killed and goes on, of branches and all four tasks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from pieces import DAISY, ROOT, TASKS, Run, killed_once_saved, same_files
from runners import finished

from daisy.common.compute import Compute
from daisy.hubert.checkpoint import load

TRAININGS = ("branches", *TASKS)
STEPS = {"branches": 80, "sid": 400, "asr": 40, "se": 40, "ss": 40}
EVERY = 4
"""Steps between two saved states; there are so many steps in all that none ends before it can be killed."""

FILES = {"branches": ("daisy.pt", "history.csv")} | dict.fromkeys(TASKS, ("model.safetensors", "history.csv"))


@pytest.fixture(scope="module")
def given(device: str, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Targets, branches and features to train on."""
    run = Run(tmp_path_factory.mktemp("again"), speech, Compute(device, "float32", True))  # type: ignore[arg-type]
    run.targets()
    finished(run.branches(), ROOT)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run.features, TASKS))
    return run


def command(run: Run, training: str, name: str) -> tuple[list[str], Path]:
    """The command of a training whose results go into a folder `name`, and that folder."""
    if training == "branches":
        return run.branches(name, STEPS[training], EVERY), run.folder / name
    return run.downstream(training, DAISY, name, STEPS[training], EVERY), run.folder / training / name


def trained(run: Run, training: str, name: str) -> Path:
    """A training that nothing befalls."""
    arguments, out = command(run, training, name)
    finished(arguments, ROOT)
    return out


def killed(run: Run, training: str, name: str) -> Path:
    """A training that is killed once it has saved, and goes on."""
    arguments, out = command(run, training, name)
    killed_once_saved(arguments, out / "state")
    assert "resumed at step" in finished(arguments, ROOT).stderr
    return out


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def three(request: pytest.FixtureRequest, device: str, given: Run) -> dict[str, list[Path]]:
    """Of every training the results of a run, of another, and of one that was killed."""
    run = Run(given.folder, given.speech, Compute(device, request.param, True))  # type: ignore[arg-type]
    names = {f"{request.param}-{name}": how for name, how in (("one", trained), ("two", trained), ("cut", killed))}
    jobs = [(how, training, name) for training in TRAININGS for name, how in names.items()]
    with ThreadPoolExecutor(5) as threads:
        found = list(threads.map(lambda job: job[0](run, job[1], job[2]), jobs))
    return {training: found[3 * place : 3 * place + 3] for place, training in enumerate(TRAININGS)}


@pytest.mark.parametrize("training", TRAININGS)
def test_two_runs_and_one_that_was_killed_are_equal(three: dict[str, list[Path]], training: str) -> None:
    one, two, cut = three[training]
    assert not same_files(one, two, FILES[training]), "the same config gave other numbers"
    assert not same_files(one, cut, FILES[training]), "what was killed went on otherwise"


@pytest.mark.only_gpu
def test_what_is_equal_without_being_told_to(device: str, given: Run, tell: Callable[[str], None]) -> None:
    """No promise: the report says which trainings give the same numbers with `compute.deterministic: false`."""
    run = Run(given.folder, given.speech, Compute(device, "float32", False))  # type: ignore[arg-type]
    jobs = [(training, name) for training in TRAININGS for name in ("free-one", "free-two")]
    with ThreadPoolExecutor(5) as threads:
        found = list(threads.map(lambda job: trained(run, *job), jobs))
    for place, training in enumerate(TRAININGS):
        differs = same_files(found[2 * place], found[2 * place + 1], FILES[training])
        tell(f"{training}, compute.deterministic false: two runs {'differ' if differs else 'are equal'}")


@pytest.mark.only_gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
def test_two_gpus_give_what_one_gives(given: Run) -> None:
    """Up to the order of sums."""
    one = trained(given, "branches", "one-gpu")
    arguments, out = command(given, "branches", "two-gpus")
    together = ["-m", "daisy.training.launch", "--workers", "2"]
    finished([arguments[0], *together, *arguments[1:]], ROOT, {"DAISY_GPUS": ""})
    weights = [load(folder / "daisy.pt").branches for folder in (one, out)]
    for own, other in zip(weights[0].parameters(), weights[1].parameters(), strict=True):
        torch.testing.assert_close(other, own, rtol=1e-3, atol=1e-4)
