"""Targets: labels made by several jobs are those of one, and every class is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from project import GOLDEN

from daisy.errors import DaisyError
from daisy.targets import dump, label
from daisy.targets import join as targets
from daisy.targets.km import read_dictionary, write_dictionary
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


def test_frames_and_utterances_are_drawn_by_seed_and_name(manifest):
    frames = dump.drawn(1000, 0.3, 7, "u1")
    assert 250 < len(frames) < 350 and (np.diff(frames) > 0).all() and frames[-1] < 1000
    assert np.array_equal(frames, dump.drawn(1000, 0.3, 7, "u1"))
    assert not np.array_equal(frames, dump.drawn(1000, 0.3, 8, "u1"))
    assert not np.array_equal(frames, dump.drawn(1000, 0.3, 7, "u2"))
    assert set(frames) < set(dump.drawn(1000, 0.5, 7, "u1")) and len(dump.drawn(9, 1.0, 7, "u1")) == 9
    recordings = targets.read_manifest(manifest)
    chosen = [dump.drawn_utterances(recordings, 0.5, seed) for seed in range(20)]
    assert 40 < sum(map(len, chosen)) < 80 and all(one == sorted(one) for one in chosen)
    assert dump.drawn_utterances(recordings, 1.0, 0) == list(range(6))


def test_a_label_is_the_nearest_centroid():
    rng = np.random.default_rng(2)
    centroids = (rng.normal(size=(9, 6)) * np.linspace(0.2, 3, 9)[:, None]).astype(np.float32)
    frames = rng.normal(size=(200, 6)).astype(np.float32)
    found = label.nearest(centroids, torch.device("cpu"))(torch.from_numpy(frames))
    expected = [min(range(9), key=lambda c: float(np.square(frame - centroids[c]).sum())) for frame in frames]
    assert found.tolist() == expected and len(set(expected)) > 4


def test_several_jobs_give_what_one_gives(manifest):
    labels, dictionary = made(manifest, 1)
    assert made(manifest, 4) == (labels, dictionary)
    counted = [line.split() for line in dictionary.splitlines()]
    assert [name for name, _ in counted] == list("01234")
    assert sum(int(count) for _, count in counted) == len(labels.split())


def test_the_dictionary_names_all_classes(tmp_path):
    write_dictionary(tmp_path / "dict.km.txt", [7, 0, 3])
    assert (tmp_path / "dict.km.txt").read_text() == "0 7\n1 0\n2 3\n"
    assert read_dictionary(tmp_path / "dict.km.txt") == ["0", "1", "2"]
    (tmp_path / "dict.km.txt").write_text("0 7\n\n")
    with pytest.raises(DaisyError, match="not a file of classes"):
        read_dictionary(tmp_path / "dict.km.txt")
    with pytest.raises(DaisyError, match="the classes do not exist"):
        read_dictionary(tmp_path / "other.txt")


def join(manifest: Path, lines: list[str], classes: int) -> np.ndarray:
    path = manifest.parent / "x.km"
    path.write_text("".join(f"{line}\n" for line in lines))
    return targets.join(targets.read_manifest(manifest), [path], manifest.parent / "out.km", classes)


def test_classes_that_no_frame_has_are_counted_too(manifest):
    assert join(manifest, ["0 3", "1", "2", "2", "2", "7"], 10).tolist() == [1, 1, 3, 1, 0, 0, 0, 1, 0, 0]


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
