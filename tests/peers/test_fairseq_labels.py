"""Targets by the pre-training head, frame by frame as in fairseq's HuBERT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fairseq_files import CLUSTERS, NEVER, dataset, initial, normalised, pretrained
from torch import Tensor

from daisy.hubert.checkpoint import load
from daisy.targets import join, label

ROUNDING = 1e-4
"""By how much logits, which reach from -10 to 10, differ between two ways to compute them."""


def loaded(path: Path):
    """The model and the task of a checkpoint, as fairseq loads them."""
    from fairseq import checkpoint_utils
    from fairseq.data.dictionary import Dictionary

    with torch.serialization.safe_globals([Dictionary]):
        (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    model.skip_masked, model.skip_nomask = True, False
    return model.float().eval(), task


def unmasked(model, source: Tensor, targets: Tensor) -> dict:
    """One recording (N,) and its targets (T,) as fairseq's loss takes them, with a mask of not one frame.

    Its forward pass has no logits without a mask, and its own mask covers two spans at least.
    """
    padding = torch.zeros(1, len(source), dtype=torch.bool)
    model.apply_mask = lambda x, padding_mask, _: (x, torch.zeros_like(padding_mask))
    return {"target_list": [targets[None]], "net_input": {"source": source[None], "padding_mask": padding}}


def fairseq_labels(model, source: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """(frames,) rows of its label embeddings with the largest logit, and where it is the largest beyond rounding."""
    sample = unmasked(model, source, torch.zeros(frames, dtype=torch.long))
    with torch.no_grad():
        output = model(target_list=sample["target_list"], **sample["net_input"])
    (logits,) = model.get_logits(output, is_masked=False)
    # Column 0 is the target's row, which is taken out of the columns of all rows.
    rows = torch.where(logits[:, 1:].isinf(), logits[:, :1], logits[:, 1:])
    best = rows.topk(2).values
    return rows.argmax(-1), best[:, 0] - best[:, 1] > ROUNDING


def daisy_labels(folder: Path, checkpoint: Path) -> tuple[list[Tensor], list[int]]:
    """Each recording's labels by the stages, all recordings in one batch, and how often every class occurs."""
    common = ["--manifest", str(folder / "train.tsv"), "--checkpoint", str(checkpoint)]
    out = folder / "head"
    out.mkdir(exist_ok=True)
    settings = json.dumps({"kind": "head", "batch_seconds": 1000.0})
    label.main(["--settings", settings, *common, "--out", str(out / "0.km")])
    written = ["--labels", str(out / "0.km"), "--out", str(out / "all.km"), "--dictionary", str(out / "dict.km.txt")]
    join.main(["--settings", "{}", *common, *written])
    lines = (out / "all.km").read_text().splitlines()
    counts = [int(line.split()[1]) for line in (out / "dict.km.txt").read_text().splitlines()]
    return [torch.tensor([*map(int, line.split())]) for line in lines], counts


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> tuple[Path, list[Tensor]]:
    folder = tmp_path_factory.mktemp("data")
    return folder, dataset(folder)


@pytest.fixture(scope="module", params=["base", "large", "base-glu"])
def checkpoint(request, data, tmp_path_factory) -> tuple[str, Path]:
    """A shape, and a file: of fairseq's pre-training, or of its own saving where its recipe has no such model."""
    shape, *glu = request.param.split("-")
    folder, waves = data
    out = tmp_path_factory.mktemp(request.param)
    initial(shape, folder, out / "start.pt", waves, **({"target_glu": True} if glu else {}))
    return shape, out / "start.pt" if glu else pretrained(shape, folder, out / "start.pt", out)


def check(shape: str, path: Path, folder: Path, waves: list[Tensor]) -> None:
    model, task = loaded(path)
    found, counts = daisy_labels(folder, path)
    assert len(found) == 2 * len(waves)
    told = []
    for wave, labels in zip(waves, found, strict=False):
        expected, clear = fairseq_labels(model, normalised(wave, shape), len(labels))
        assert labels[clear].tolist() == expected[clear].tolist()
        told.append(clear)
    # How many frames are close depends on the weights, and these on the machine that trained them.
    assert torch.cat(told).float().mean() > 0.9
    assert counts == torch.cat(found).bincount(minlength=CLUSTERS + 4).tolist()
    assert len(counts) == len(task.dictionaries[0]) == model.num_classes[0] == CLUSTERS + 4


def test_every_label_is_fairseqs(checkpoint, data):
    (shape, path), (folder, waves) = checkpoint, data
    check(shape, path, folder, waves)


def test_fairseqs_own_loss_finds_every_label_right(checkpoint, data):
    """Its criterion counts the frames whose target has the largest logit: all of them, on our labels."""
    from fairseq.criterions.hubert_criterion import HubertCriterion

    (shape, path), (folder, waves) = checkpoint, data
    model, task = loaded(path)
    criterion = HubertCriterion(task, pred_masked_weight=0.0, pred_nomask_weight=1.0)
    for wave, labels in zip(waves, daisy_labels(folder, path)[0], strict=False):
        sample = unmasked(model, normalised(wave, shape), labels)
        sample["id"] = torch.zeros(1)
        with torch.no_grad():
            _, _, logged = criterion(model, sample)
        _, clear = fairseq_labels(model, normalised(wave, shape), len(labels))
        assert clear.sum() <= logged["correct_u_0"] <= logged["count_u_0"] == len(labels)
        sample["target_list"][0] = (labels[None] + 1) % (CLUSTERS + 4)
        with torch.no_grad():
            _, _, logged = criterion(model, sample)
        assert logged["correct_u_0"] <= (~clear).sum()


def test_special_symbols_are_classes_and_so_are_those_that_never_win(checkpoint, data):
    from fairseq.data.dictionary import Dictionary

    (_, path), (folder, _) = checkpoint, data
    _, counts = daisy_labels(folder, path)
    assert any(counts[:4]) and len(counts) == CLUSTERS + 4
    if load(path).head.target_glu is None:  # which turns what was opposite to all frames elsewhere
        assert not any(counts[number] for number in NEVER)
    dictionary = Dictionary.load(str(folder / "dict.km.txt"))
    assert dictionary.symbols[:4] == ["<s>", "<pad>", "</s>", "<unk>"] and dictionary.index("7") == 7 + 4


def test_half_precision_file(checkpoint, data, tmp_path):
    from fairseq.data.dictionary import Dictionary

    (shape, path), (folder, waves) = checkpoint, data
    with torch.serialization.safe_globals([Dictionary]):
        content = torch.load(path, weights_only=True)
    content["model"] = {name: value.half() for name, value in content["model"].items()}
    torch.save(content, tmp_path / "half.pt")
    assert load(tmp_path / "half.pt").head.label_embs_concat.dtype == torch.float32
    check(shape, tmp_path / "half.pt", folder, waves)
