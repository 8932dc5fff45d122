"""What tests share: a small random model and recordings from the golden folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from project import Project

from daisy import audio
from daisy.hubert.checkpoint import Checkpoint, load

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def checkpoint() -> Checkpoint:
    """A random 6-layer model with branches whose entropies differ by layer."""
    return load(GOLDEN / "daisy_tiny_after_norm.pt")


@pytest.fixture
def waves() -> list[torch.Tensor]:
    """Six real recordings of different lengths."""
    return [audio.read(path) for path in sorted(GOLDEN.glob("*.wav"))]


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """A copy of the project, to run and to edit."""
    return Project(tmp_path_factory.mktemp("project") / "daisy")


@pytest.fixture(scope="session")
def nano(project) -> Path:
    """The results folder of the finished nano run: a few dozen recordings through every stage."""
    project.run()
    return project.results
