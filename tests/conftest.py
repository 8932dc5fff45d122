"""What tests share: a small random model and recordings from the golden folder."""

from __future__ import annotations

import functools
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from project import GOLDEN, ROOT, Project

from daisy.common import audio
from daisy.corpora.utterances import Utterance, write_manifest
from daisy.hubert.checkpoint import Checkpoint, load, save
from daisy.targets.km import write_labels

warm.use()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore it, and so would all that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that leave another nano run behind come last; of processes side by side, each begins with what is long."""
    side_by_side = hasattr(config, "workerinput")
    items.sort(key=lambda item: side_by_side and item.path.parent.name != "pipeline")
    items.sort(key=lambda item: item.get_closest_marker("changes_nano") is not None)


@functools.cache
def _together(file: str) -> str:
    """What a file's tests share with those of others that one process must run: the nano run, or nothing."""
    asks = re.search(r"^def \w+\([^)]*\bnano\b", (ROOT / file).read_text(encoding="utf-8"), re.M)
    return "nano" if asks else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes test side by side: a file is one's, and so are all that look at the nano run."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid.partition("::")[0])

    return Scheduler(config, log)


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


@pytest.fixture
def spoken(tmp_path, checkpoint, waves) -> Path:
    """A folder with the golden recordings of two speakers, their manifest `train.tsv`, and a model `daisy.pt`."""
    items = []
    for number, wave in enumerate(waves):
        audio.write(tmp_path / f"{number}.flac", wave.numpy())
        items.append(Utterance(f"u{number}", f"{number}.flac", len(wave), f"speaker{number % 2}", "a b"))
    write_manifest(tmp_path / "train.tsv", tmp_path, items)
    save(tmp_path / "daisy.pt", checkpoint, "daisy")
    return tmp_path


@pytest.fixture
def speech(tmp_path) -> Path:
    """A folder with a manifest of the golden recordings, where they lie, and a label per frame."""
    words = ("call", "home", "stop", "light")
    utterances = [
        Utterance(path.stem, path.name, len(audio.read(path)), f"speaker{index % 2}", words[index % 4])
        for index, path in enumerate(sorted(GOLDEN.glob("*.wav")))
    ]
    write_manifest(tmp_path / "train.tsv", GOLDEN, utterances)
    config = load(GOLDEN / "daisy_tiny_after_norm.pt").encoder.config
    rng = np.random.default_rng(0)
    write_labels(tmp_path / "train.km", [rng.integers(10, size=config.frames(item.samples)) for item in utterances])
    (tmp_path / "dict.km.txt").write_text("".join(f"{index} 1\n" for index in range(10)))
    return tmp_path


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """A copy of the project, to run and to edit."""
    return Project(tmp_path_factory.mktemp("project") / "daisy")


@pytest.fixture(scope="session")
def nano(project, tmp_path_factory) -> Path:
    """The results folder of the finished nano run: a few dozen recordings through every stage, each once cold."""
    project.run(environment={warm.FIRST: str(tmp_path_factory.mktemp("first"))})
    return project.results
