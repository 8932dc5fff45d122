"""Targets by the pre-training head: fairseq's classes, all of them, whether a frame chooses them or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from models import assert_same, large_shaped
from project import GOLDEN

from daisy.common.compute import Compute
from daisy.errors import DaisyError
from daisy.hubert.checkpoint import Checkpoint, PretrainingHead, load, save
from daisy.targets import join as targets
from daisy.targets import label

CLASSES = 12
"""Of which the first four are fairseq's special symbols."""

NEVER = (1, 3, CLASSES - 1)
"""Classes that no frame chooses, special symbols and the last class among them."""


def last_states(checkpoint: Checkpoint, waves: list[torch.Tensor]) -> torch.Tensor:
    """(frames, D): what the head takes, of recordings one after the other."""
    with torch.no_grad():
        rows = []
        for wave in waves:
            x = checkpoint.encoder.output([wave], checkpoint.encoder.config.layers).states
            rows.append(checkpoint.encoder.encoder.layer_norm(x) if checkpoint.encoder.config.pre_norm else x)
    return torch.cat(rows)


def with_head(checkpoint: Checkpoint, waves: list[torch.Tensor], *, glu: bool = False) -> Checkpoint:
    """`checkpoint` with a head whose classes lie among what it projects, but for those in `NEVER`."""
    torch.manual_seed(1)
    projection = torch.nn.Linear(checkpoint.encoder.config.dim, 8)
    projection.bias.data += 4  # so that all projected frames are on one side, and nothing on the other ever wins
    projected = projection(last_states(checkpoint, waves)).detach()
    embeddings = projected[torch.linspace(0, len(projected) - 1, CLASSES).long()] * torch.rand(CLASSES, 1)
    for number in NEVER:
        embeddings[number] = -projected.mean(0)
    gate = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GLU()) if glu else None
    checkpoint.head = PretrainingHead(projection, embeddings, gate).requires_grad_(False)
    return checkpoint


def best(checkpoint: Checkpoint, waves: list[torch.Tensor]) -> np.ndarray:
    """(frames,) the rule, written out: the embedding with the smallest angle to the projected frame."""
    head = checkpoint.head
    frames = last_states(checkpoint, waves).double().numpy()
    projected = frames @ head.final_proj.weight.double().numpy().T + head.final_proj.bias.double().numpy()
    embeddings = head.label_embs_concat.double().numpy()
    if head.target_glu is not None:
        linear = head.target_glu[0]
        twice = embeddings @ linear.weight.double().numpy().T + linear.bias.double().numpy()
        embeddings = twice[:, :8] / (1 + np.exp(-twice[:, 8:]))
    lengths = np.linalg.norm(projected, axis=1)
    return np.argmin([np.arccos(projected @ row / lengths / np.linalg.norm(row)) for row in embeddings], axis=0)


@pytest.fixture(params=["base", "large"])
def model(request, spoken, waves) -> tuple[Path, Checkpoint]:
    """A file with a head, and what it holds."""
    checkpoint = load(GOLDEN / "daisy_tiny_after_norm.pt") if request.param == "base" else large_shaped()
    checkpoint.branches = None
    save(spoken / "hubert.safetensors", with_head(checkpoint, waves), "safetensors")
    return spoken / "hubert.safetensors", checkpoint


def numbers(path: Path) -> list[list[int]]:
    """What a file's lines hold."""
    return [[int(number) for number in line.split()] for line in path.read_text().splitlines()]


def made(folder: Path, checkpoint: Path, *, jobs: int = 1, seconds: float = 4.0) -> tuple[list[list[int]], list[int]]:
    """Each recording's labels, and how often every class occurs."""
    common = ["--manifest", str(folder / "train.tsv"), "--checkpoint", str(checkpoint)]
    files = [str(folder / f"train_{rank}_{jobs}.km") for rank in range(jobs)]
    settings = json.dumps({"kind": "head", "batch_seconds": seconds})
    for rank, file in enumerate(files):
        part = ["--rank", str(rank), "--nshard", str(jobs), "--out", file]
        label.main(["--settings", settings, *common, *part])
    written = ["--labels", *files, "--out", str(folder / "train.km"), "--dictionary", str(folder / "dict.km.txt")]
    targets.main(["--settings", json.dumps({"classes": 0}), *common, *written])
    labels, counts = (numbers(folder / name) for name in ("train.km", "dict.km.txt"))
    assert [name for name, _ in counts] == list(range(len(counts)))
    return labels, [count for _, count in counts]


def test_a_label_is_the_class_of_the_smallest_angle(model, spoken, waves):
    path, checkpoint = model
    labels, counts = made(spoken, path)
    found, expected = np.concatenate(labels), best(checkpoint, waves)
    assert found.tolist() == expected.tolist()
    assert [len(row) for row in labels] == [checkpoint.encoder.config.frames(len(wave)) for wave in waves]
    assert counts == np.bincount(expected, minlength=CLASSES).tolist()
    # Special symbols win where they are nearest; what never wins is a class all the same.
    assert counts[0] and counts[2] and len(counts) == CLASSES and not any(counts[n] for n in NEVER)
    assert sum(map(bool, counts)) == CLASSES - len(NEVER)


def test_labels_depend_on_no_batch_and_no_job(model, spoken):
    path, _ = model
    alone = made(spoken, path, seconds=0.1)
    assert alone == made(spoken, path, seconds=1000.0) == made(spoken, path, jobs=3)


def test_half_precision_is_for_the_encoder_alone(model, spoken, waves):
    """Classes that differ in the fifth digit are told apart, whatever the precision of the encoder."""
    path, checkpoint = model
    embeddings = checkpoint.head.label_embs_concat
    embeddings[:] = embeddings[0] + 1e-4 * torch.randn(embeddings.shape, generator=torch.manual_seed(4))
    save(path, checkpoint, "safetensors")
    half = Compute("cpu", "bfloat16")
    classes = label.head_labels(path, half)
    found = [classes([wave])[0] for wave in waves]
    with half.autocast(), torch.inference_mode():
        states = [last_states(checkpoint, [wave]).float() for wave in waves]
    expected = [checkpoint.head(rows).argmax(-1).tolist() for rows in states]
    assert [item.tolist() for item in found] == expected
    assert len(set(sum(expected, []))) > 4


def test_target_glu(spoken, waves):
    """A model that was trained with it keeps it, and labels by it."""
    checkpoint = with_head(large_shaped(), waves, glu=True)
    without = best(with_head(large_shaped(), waves), waves)
    for form in ("safetensors", "transformers"):
        save(spoken / form, checkpoint, form)
        assert_same(checkpoint, load(spoken / form))
        labels, _ = made(spoken, spoken / form)
        assert np.concatenate(labels).tolist() == best(checkpoint, waves).tolist() != without.tolist()


@pytest.mark.parametrize("stage", [label, targets])
def test_heads_that_cannot_label(stage, spoken, waves):
    written = ["--settings", json.dumps({"kind": "head"} if stage is label else {}), "--out", str(spoken / "x.km")]
    written += ["--manifest", str(spoken / "train.tsv")]
    (spoken / "one.km").write_text("0\n" * len(waves))
    if stage is targets:
        written += ["--labels", str(spoken / "one.km"), "--dictionary", str(spoken / "dict")]
    with pytest.raises(DaisyError, match="head need a checkpoint"):
        stage.main(written)
    checkpoint = large_shaped()
    save(spoken / "none.safetensors", checkpoint, "safetensors")
    with pytest.raises(DaisyError, match=r"none.safetensors: the checkpoint has no pre-training head"):
        stage.main([*written, "--checkpoint", str(spoken / "none.safetensors")])
    checkpoint.fairseq_config["task"]["labels"] = ["km", "phn"]
    save(spoken / "two.safetensors", with_head(checkpoint, waves), "safetensors")
    with pytest.raises(DaisyError, match=r"two.safetensors: the pre-training head predicts 2 sets .*\(km, phn\)"):
        stage.main([*written, "--checkpoint", str(spoken / "two.safetensors")])
