"""Every stage that runs the model or trains, on a few recordings, as the workflow starts it."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from pieces import DAISY, MODEL, ROOT, TASKS, Run
from runners import finished

from daisy.common.compute import Compute
from daisy.corpora.utterances import read_manifest
from daisy.exits.method import FULL
from daisy.features.kept import load_features
from daisy.features.measured import load_measured
from daisy.hubert.checkpoint import load
from daisy.hubert.early_exit import EarlyExitHubert
from daisy.targets.km import read_labels


@pytest.fixture(scope="module")
def done(device: str, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Targets, branches, features and downstream models: trainings in bfloat16, all else in float32."""
    run = Run(tmp_path_factory.mktemp("stages"), speech, Compute(device, "bfloat16"))  # type: ignore[arg-type]
    run.targets()
    finished(run.branches(), ROOT)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run.features, TASKS))
        trainings = [run.downstream(task, method, method.name) for task in TASKS for method in (DAISY, FULL)]
        list(threads.map(lambda command: finished(command, ROOT), trainings))
    yield run


def history(path: Path) -> list[dict[str, float]]:
    """A table of numbers."""
    with open(path, newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_targets(done: Run) -> None:
    manifest = read_manifest(done.speech / "asr.tsv")
    model = load(MODEL)
    frames = [model.encoder.config.frames(item.samples) for item in manifest.utterances]
    labels = read_labels(done.folder / "train.km", frames)
    assert 4 < len(set(np.concatenate(labels))) <= 16
    # The same labels as a CPU's, but where bfloat16 moves a frame across the border of two clusters.
    centroids = torch.from_numpy(np.load(done.folder / "kmeans.npz")["centroids"])
    with torch.no_grad():
        states = model.encoder.output([manifest.wave(index) for index in range(len(manifest))], 9).split()
    own = np.concatenate([torch.cdist(item, centroids).argmin(1).numpy() for item in states])
    assert (own == np.concatenate(labels)).mean() > 0.9


def test_branches(done: Run) -> None:
    losses = [row["loss"] for row in history(done.folder / "history.csv")]
    assert len(losses) == 8 and all(map(math.isfinite, losses)) and losses[-1] < losses[0]
    assert load(done.folder / "daisy.pt").branches is not None and not (done.folder / "state").exists()


@pytest.mark.parametrize("task", TASKS)
def test_states_and_entropies_are_those_of_a_cpu(done: Run, task: str) -> None:
    manifest = read_manifest(done.speech / f"{task}.tsv")
    measured = load_measured(done.folder / task / "entropies.npz", len(manifest))
    upstream = EarlyExitHubert(load(done.folder / "daisy.pt"))
    kept = load_features(done.folder / task / "states.npy")
    for index in range(3):
        (item,) = upstream.all_layers([manifest.wave(index)])
        np.testing.assert_allclose(measured.entropies[index], item.entropies, rtol=1e-4)
        if task != "sid":  # SID's are averaged, and normalised
            normal = torch.nn.functional.layer_norm(item.states, item.states.shape[-1:]).transpose(0, 1)
            found = kept.utterance(index, upstream.layers)
            assert found.shape == normal.shape and (found - normal).abs().max() < 1e-4 * normal.abs().max()
    tau = json.loads((done.folder / task / "tau.json").read_text())["tau"]
    means = measured.entropies.mean(0)
    assert tau == pytest.approx((means.max() + means.min()) / 2, rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_downstream_and_evaluation(done: Run, task: str) -> None:
    """An evaluation fails by itself where real runs stop elsewhere, or score otherwise, than its batches."""
    out = done.folder / task / DAISY.name
    losses = [row["loss"] for row in history(out / "history.csv")]
    assert losses and all(map(math.isfinite, losses))
    assert sum(json.loads((out / "exits.json").read_text())["counts"]) > 0
    for method, cells in ((FULL, 1), (DAISY, 2)):
        rows = [row for row in done.evaluation(task, method) if row["method"] == method.row]
        assert len({row["strategy"] for row in rows}) == cells
        assert all(math.isfinite(row["value"]) and row["rtf"] > 0 for row in rows)


def test_noise(done: Run) -> None:
    tables = done.noise()
    for name in ("exits", "wer", "guard"):
        assert len((tables / f"{name}.csv").read_text().splitlines()) > 1, name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_extraction(done: Run, device: str, dtype: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "daisy.cli.main", "extract", done.folder / "daisy.pt", done.speech / "0.flac"]
    command += [done.speech / "1.flac", "--layer", "6", "--device", device, "--dtype", dtype, "--out", tmp_path / "out"]
    assert "2 recordings, mean exit layer 6.00" in finished(list(map(str, command)), ROOT).stdout


@pytest.mark.only_gpu
def test_the_library_takes_a_gpu(done: Run, tell: Callable[[str], None]) -> None:
    code = (
        "import sys, torch, daisy; from daisy.common import audio;"
        "model = daisy.load(sys.argv[1]); wave = audio.read(sys.argv[2]);"
        "here = model(wave); there = model.to('cuda')(wave.cuda());"
        "print(float((there.features.cpu() - here.features).abs().max() / here.features.abs().max()))"
    )
    command = [sys.executable, "-c", code, str(done.folder / "daisy.pt"), str(done.speech / "0.flac")]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    tell(f"the library, CPU against GPU: {float(outcome.stdout):.1e} of the largest value")
    assert float(outcome.stdout) < 1e-4
