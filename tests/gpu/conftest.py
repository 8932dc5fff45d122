"""Tests that need a GPU: `make test-gpu`. On another device (`--device cpu`) they show that they themselves work.

They need no network and no Snakemake, and none of what other tests share: pytest does not read their conftest here.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NO_GPU = "NO GPU: torch finds none on this machine, so that NOTHING was tested"
TOLD = pytest.StashKey[list[str]]()

# Stages are started as processes: they too find the package, and the stand-in for what is not installed.
sys.path[:0] = [str(ROOT), str(HERE.parent)]
PATHS = [str(ROOT), *([] if importlib.util.find_spec("pesq") else [str(HERE / "standins")])]
sys.path += PATHS[1:]
# They share the first GPU with these tests, so that stages that are started at once need not wait for one another.
os.environ.setdefault("DAISY_GPUS", "shared")
os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, *filter(None, [os.environ.get("PYTHONPATH")])])


def pytest_addoption(parser: pytest.Parser) -> None:
    """The device."""
    parser.addoption("--device", choices=["cuda", "cpu"], default="cuda", help="where the stages run (default: cuda)")


def pytest_configure(config: pytest.Config) -> None:
    """The marker of what a CPU cannot show, and what is said at the end."""
    config.addinivalue_line("markers", "only_gpu: it says nothing on a CPU")
    config.stash[TOLD] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the device cannot run."""
    device = config.getoption("--device")
    absent = device == "cuda" and not torch.cuda.is_available()
    for item in items:
        if absent:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))
        elif device == "cpu" and item.get_closest_marker("only_gpu"):
            item.add_marker(pytest.mark.skip(reason="it says nothing on a CPU"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where this ran, what was found on the way, and, loudly, whether it ran at all."""
    device = config.getoption("--device")
    if device == "cuda" and not torch.cuda.is_available():
        terminalreporter.section(NO_GPU, sep="!", red=True, bold=True)
        return
    name = torch.cuda.get_device_name() if device == "cuda" else "a CPU: what is a GPU's own was left out"
    terminalreporter.section(f"on {name}, torch {torch.__version__}")
    if str(HERE / "standins") in PATHS:
        terminalreporter.line("pesq is not installed: a stand-in took its place, whose values are no PESQ")
    for line in config.stash[TOLD]:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Where stages run: cuda, or cpu if that was asked for."""
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note a line for the end of the report: what was found, and is no failure."""
    return request.config.stash[TOLD].append


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four manifests, one per task, of real speech."""
    from pieces import write_speech

    folder = tmp_path_factory.mktemp("speech")
    write_speech(folder)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The CPU's numbers do not depend on how many cores there are."""
    torch.set_num_threads(1)


@pytest.fixture
def float32(device: str) -> Iterator[None]:
    """A test that starts in float32, as a stage does."""
    from daisy.common.compute import Compute, allow_tf32

    Compute(device).place()
    yield
    allow_tf32(False)
