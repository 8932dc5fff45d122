"""Bad input: one clear line that names the file, the value and the fix, a non-zero exit, nothing lost."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import soundfile
import torch
from project import GOLDEN
from runners import ended, failed, finished, stage

from daisy.common import audio
from daisy.common.files import atomic, write_json, write_text
from daisy.corpora.utterances import Utterance, read_manifest, write_manifest
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import load
from daisy.targets.centroids import read_centroids
from daisy.targets.km import read_labels, write_labels
from daisy.targets.kmeans import cluster
from daisy.training.loop import check_finite

MODEL = GOLDEN / "daisy_tiny_after_norm.pt"


def run(module: str, settings: dict, **options) -> str:
    """Run a stage that must fail; its one line of error."""
    return failed(stage(module, settings, **options))


@pytest.fixture
def manifest(tmp_path):
    """Two good recordings in a manifest."""
    utterances = []
    for name in ("conf-full", "call-waiting"):
        wave = audio.read(GOLDEN / f"{name}.wav")
        audio.write(tmp_path / f"{name}.flac", wave.numpy())
        utterances.append(Utterance(name, f"{name}.flac", len(wave)))
    write_manifest(tmp_path / "train.tsv", tmp_path, utterances)
    return tmp_path / "train.tsv"


DUMP = {"layer": 2, "batch_seconds": 10}


def test_missing_recording(manifest):
    (manifest.parent / "conf-full.flac").unlink()
    line = run("targets.dump", DUMP, manifest=manifest, checkpoint=MODEL, out=manifest.parent / "out")
    assert "conf-full.flac" in line and "does not exist" in line and "Restore" in line


def test_truncated_recording(manifest):
    file = manifest.parent / "conf-full.flac"
    file.write_bytes(file.read_bytes()[:3000])
    line = run("targets.dump", DUMP, manifest=manifest, checkpoint=MODEL, out=manifest.parent / "out")
    assert "conf-full.flac" in line
    assert not list((manifest.parent / "out").glob("*.npy"))


def test_recording_of_another_length(manifest):
    soundfile.write(manifest.parent / "conf-full.flac", np.zeros(5000, np.float32), 16000)
    with pytest.raises(DaisyError, match="5000 samples, but the manifest says"):
        read_manifest(manifest).wave(0)


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "message"),
    [(8000, 8000, 1, "8000 Hz"), (8000, 16000, 2, "2 channels"), (0, 16000, 1, "empty")],
)
def test_recording_of_the_wrong_kind(tmp_path, samples, rate, channels, message):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros((samples, channels)), rate)
    with pytest.raises(DaisyError, match=message) as caught:
        audio.read(path)
    assert "x.wav" in str(caught.value)


def test_empty_split(tmp_path):
    with pytest.raises(DaisyError, match="no recording belongs to this split"):
        write_manifest(tmp_path / "dev.tsv", tmp_path, [])
    (tmp_path / "dev.tsv").write_text("/somewhere\n")
    line = run("targets.dump", DUMP, manifest=tmp_path / "dev.tsv", checkpoint=MODEL, out=tmp_path / "out")
    assert "dev.tsv: the split is empty" in line


def test_damaged_manifest(manifest):
    whole = manifest.read_text()
    for damaged in (whole.replace("\t", " "), whole.replace("\t", "\t-"), whole.replace("\t", "\tx")):
        manifest.write_text(damaged)
        with pytest.raises(DaisyError, match="line 2 is "):
            read_manifest(manifest)
    write_text(manifest.with_suffix(".csv"), "id,speaker,text\n")
    with pytest.raises(DaisyError, match="0 rows"):
        read_manifest(manifest)


def test_fewer_frames_than_clusters(tmp_path):
    with pytest.raises(DaisyError, match="5 frames cannot make 6 clusters"):
        cluster(np.zeros((5, 3), np.float32), 6, seed=0)
    np.save(tmp_path / "train_0_1.npy", np.zeros((5, 3), np.float32))
    out = tmp_path / "kmeans.npz"
    line = run("targets.kmeans", {"clusters": 6, "seed": 0, "layer": 1}, shards=tmp_path / "train_0_1.npy", out=out)
    assert "5 frames cannot make 6 clusters" in line and not out.exists()


def test_labels_that_do_not_match(tmp_path):
    path = tmp_path / "train.km"
    write_labels(path, [np.array([1, 2, 3]), np.array([4])])
    assert [item.tolist() for item in read_labels(path, [3, 1])] == [[1, 2, 3], [4]]
    with pytest.raises(DaisyError, match="line 2 has 1 labels for 2 frames"):
        read_labels(path, [3, 2])
    with pytest.raises(DaisyError, match="labels of 2 utterances, but the manifest has 3"):
        read_labels(path, [3, 1, 1])
    path.write_text("1 two\n")
    with pytest.raises(DaisyError, match="not a label file"):
        read_labels(path, [2])


def test_nan_loss_keeps_the_saved_state(manifest):
    with pytest.raises(DaisyError, match="the loss is nan at step 7"):
        check_finite(float("nan"), 7, "branches.learning_rate")
    config = load(MODEL).encoder.config
    counts = [config.frames(item.samples) for item in read_manifest(manifest).utterances]
    folder = manifest.parent
    write_labels(folder / "train.km", [np.arange(count) % 2 for count in counts])
    (folder / "dict.txt").write_text("0 1\n1 1\n")
    settings = {"position": "after-norm", "batch_seconds": 1, "seed": 0, "save_every": 1}
    line = run(
        "branches.train",
        {**settings, "steps": 500, "learning_rate": 1e37},
        checkpoint=MODEL,
        manifest=manifest,
        labels=folder / "train.km",
        dictionary=folder / "dict.txt",
        state=folder / "state",
        out=folder / "daisy.pt",
        history=folder / "history.csv",
    )
    assert "branches.learning_rate" in line and "step" in line
    assert (folder / "state" / "state.pt").exists() and not (folder / "daisy.pt").exists()


def test_corrupt_checkpoints(tmp_path):
    whole = MODEL.read_bytes()
    bad = tmp_path / "bad.pt"
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint at all", whole[:100] + bytes(1000)):
        bad.write_bytes(content)
        with pytest.raises(DaisyError, match="bad.pt"):
            load(bad)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    with pytest.raises(DaisyError, match="bad.safetensors"):
        load(bad)
    with pytest.raises(DaisyError, match="does not exist"):
        load(tmp_path / "none.pt")


def test_checkpoint_with_wrong_content(tmp_path):
    path = tmp_path / "daisy.pt"
    content = torch.load(MODEL, weights_only=True)
    for change, message in [
        (lambda c: c["model_weight"].pop("encoder.layers.3.fc1.weight"), "encoder.layers.3.fc1.weight.* is missing"),
        (lambda c: c["model_weight"]["layer_norm.weight"].fill_(float("nan")), "layer_norm.weight holds NaN"),
        (lambda c: c["model_cfg"].update(encoder_embed_dim=96), "do not fit"),
        (lambda c: c["model_cfg"].update(cls_pred_position="middle"), "middle"),
        (lambda c: c["model_cfg"].update(conv_feature_layers="__import__('os').abort()"), "conv_feature_layers"),
        (lambda c: c.pop("model_weight"), "no known checkpoint format"),
    ]:
        changed = {key: dict(value) if isinstance(value, dict) else value for key, value in content.items()}
        changed["model_weight"] = {name: value.clone() for name, value in changed["model_weight"].items()}
        change(changed)
        torch.save(changed, path)
        with pytest.raises(DaisyError, match=message):
            load(path)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_malicious_checkpoint_is_refused(tmp_path, monkeypatch, save):
    monkeypatch.chdir(tmp_path)
    save({"model": {}, "cfg": Malicious()}, tmp_path / "evil.pt")
    with pytest.raises(DaisyError, match="evil.pt"):
        load(tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


def test_damaged_centroids(tmp_path):
    (tmp_path / "kmeans.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DaisyError, match="kmeans.npz"):
        read_centroids(tmp_path / "kmeans.npz")


def test_unknown_setting():
    assert "'layre'" in run("targets.dump", {"layre": 3}, manifest="x", out="y")


def test_a_number_that_is_none_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old\n")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old\n"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 KiB, where this machine lets one be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)]
    try:
        mounted = ended(mount).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no permission to mount a small file system")
    yield folder
    finished(["umount", folder])


def test_full_disk(small_disk, manifest):
    """Every kind of writer: text, NumPy arrays, memory maps, torch and safetensors files."""
    write_text(small_disk / "kept.csv", "finished\n")
    line = run("targets.dump", DUMP, manifest=manifest, checkpoint=MODEL, out=small_disk)
    assert "the disk is full" in line
    features = {"view": {"states": "after-norm"}, "storage": "float32", "batch_seconds": 10}
    line = run("features.states", features, checkpoint=MODEL, manifest=manifest, out=small_disk / "states.npy")
    assert "the disk is full" in line
    for write in (
        lambda path: path.write_bytes(bytes(10**6)),
        lambda path: torch.save(torch.zeros(10**6), path),
        lambda path: __import__("safetensors.torch").torch.save_file({"x": torch.zeros(10**6)}, path),
    ):
        with pytest.raises(DaisyError, match="the disk is full"), atomic(small_disk / "big") as temporary:
            write(temporary)
    assert [item.name for item in small_disk.iterdir()] == ["kept.csv"]
    assert (small_disk / "kept.csv").read_text() == "finished\n"
