"""Targets: labels made by several jobs are those of one, and every class is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from project import GOLDEN

from daisy.errors import DaisyError
from daisy.targets import join as targets
from daisy.targets import label
from daisy.targets.kmeans import read_shards

MODEL = GOLDEN / "daisy_tiny_after_norm.pt"


@pytest.fixture
def manifest(spoken):
    return spoken / "train.tsv"


def made(manifest: Path, shards: int, classes: int = 5) -> tuple[str, str]:
    """Labels and dictionary, by so many jobs."""
    folder = manifest.parent / f"by{shards}"
    centroids = np.random.default_rng(0).normal(size=(classes, 64)).astype(np.float32)
    np.savez(manifest.parent / "kmeans.npz", centroids=centroids)
    settings = json.dumps({"kind": "kmeans", "layer": 3, "batch_seconds": 4.0})
    files = []
    for rank in range(shards):
        files.append(folder / f"train_{rank}_{shards}.km")
        label.main(
            ["--settings", settings, "--manifest", str(manifest), "--checkpoint", str(MODEL)]
            + ["--centroids", str(manifest.parent / "kmeans.npz"), "--rank", str(rank), "--nshard", str(shards)]
            + ["--out", str(files[-1])]
        )
    targets.main(
        ["--settings", json.dumps({"classes": classes}), "--manifest", str(manifest)]
        + ["--labels", *map(str, files), "--out", str(folder / "train.km"), "--dictionary", str(folder / "dict")]
    )
    return (folder / "train.km").read_text(), (folder / "dict").read_text()


def test_several_jobs_give_what_one_gives(manifest):
    labels, dictionary = made(manifest, 1)
    assert made(manifest, 4) == (labels, dictionary)
    counted = [line.split() for line in dictionary.splitlines()]
    assert [name for name, _ in counted] == list("01234")
    assert sum(int(count) for _, count in counted) == len(labels.split())


def join(manifest: Path, lines: list[str], classes: int) -> np.ndarray:
    path = manifest.parent / "x.km"
    path.write_text("".join(f"{line}\n" for line in lines))
    return targets.join(targets.read_manifest(manifest), [path], manifest.parent / "out.km", classes)


def test_unknown_numbers_of_classes(manifest):
    assert join(manifest, ["0 3", "1", "2", "2", "2", "7"], 0).tolist() == [1, 1, 3, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("lines", "classes", "message"),
    [
        (["0"] * 5, 2, "labels of 5 utterances, but the manifest has 6"),
        (["0"] * 5 + ["2"], 2, "utterance 6 has the class 2, but there are 2"),
        (["0"] * 5 + ["x"], 2, "label 6"),
        (["0"] * 5 + ["-1"], 2, "label 6"),
    ],
)
def test_labels_that_cannot_be(manifest, lines, classes, message):
    with pytest.raises(DaisyError, match=message):
        join(manifest, lines, classes)
    assert not (manifest.parent / "out.km").exists()


def test_a_shard_is_missing(manifest):
    with pytest.raises(DaisyError, match=r"train_1_2.km: the labels do not exist"):
        files = [manifest.parent / f"train_{rank}_2.km" for rank in range(2)]
        files[0].write_text("0\n" * 3)
        targets.join(targets.read_manifest(manifest), files, manifest.parent / "out.km", 2)


def test_frames_beyond_the_memory_are_refused(tmp_path):
    for rank in range(2):
        np.save(tmp_path / f"{rank}.npy", np.full((1000, 16), rank, np.float32))
    paths = [tmp_path / f"{rank}.npy" for rank in range(2)]
    found = read_shards(paths, 1.0)
    assert found.shape == (2000, 16) and found[999, 0] == 0 and found[1000, 0] == 1
    with pytest.raises(DaisyError, match=r"2,000 drawn frames take 0.00 GiB, more than targets.memory_gib, 0.0001"):
        read_shards(paths, 0.0001)
