"""A HuBERT with what may come with it: built from a checkpoint of any known format, and written as one.

Files become a `Content` and a `Content` becomes a file in `daisy.hubert.formats`; here modules are built of it,
and taken apart again. Weights are written as they were read, to the bit: a checkpoint that goes through any of
the formats comes back the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.common.spent import note
from daisy.exits.calibration import Calibration, from_plain
from daisy.hubert.branches import Branches
from daisy.hubert.config import POSITIONS, HubertConfig, Position
from daisy.hubert.encoder import Hubert
from daisy.hubert.formats import loading, writing
from daisy.hubert.formats.checks import fitting
from daisy.hubert.formats.content import Content, plain


class PretrainingHead(nn.Module):
    """HuBERT's own head: a projection, compared with one embedding per class by cosine similarity.

    Classes are fairseq's: the entries of its dictionary, of which the first four are the special symbols ``<s>``,
    ``<pad>``, ``</s>`` and ``<unk>``, and the cluster that a ``dict.km.txt`` names in its line n (from 0) is the class
    n + 4. fairseq's loss sets every frame's target against all of them alike.

    Args:
        projection: D to the embeddings' width.
        embeddings: (classes, width).
        target_glu: What the embeddings go through first, in a model that was trained with it.
    """

    label_embs_concat: Tensor

    def __init__(self, projection: nn.Linear, embeddings: Tensor, target_glu: nn.Sequential | None = None) -> None:
        super().__init__()
        self.final_proj = projection
        self.register_buffer("label_embs_concat", embeddings)
        self.target_glu = target_glu

    @property
    def classes(self) -> int:
        """How many classes there are, those included that never win."""
        return len(self.label_embs_concat)

    def forward(self, states: Tensor) -> Tensor:
        """(..., D) to (..., classes): cosine similarities, of which the largest names the class."""
        embeddings = self.label_embs_concat if self.target_glu is None else self.target_glu(self.label_embs_concat)
        return F.linear(F.normalize(self.final_proj(states), dim=-1), F.normalize(embeddings, dim=-1))


@dataclasses.dataclass
class Checkpoint:
    """What a file held, in evaluation mode and without gradients.

    Attributes:
        encoder: The HuBERT encoder.
        head: Its pre-training head, if the file has one.
        branches: The exit branches, if the file has them.
        position: Which tensor the branches read.
        fairseq_config: fairseq's configuration (`model`, `task`), as plain types.
        mask_embedding: (D,) what pre-training puts in place of masked frames, if the file has it.
        symbols: One symbol per class of the branches, if the file names them.
        calibrations: Thresholds and histograms by task, if the file has them.
        format: The file's format, by its name in `daisy.hubert.formats.registry`.
    """

    encoder: Hubert
    head: PretrainingHead | None
    branches: Branches | None
    position: Position
    fairseq_config: dict[str, Any]
    mask_embedding: Tensor | None = None
    symbols: list[str] | None = None
    calibrations: dict[str, Calibration] = dataclasses.field(default_factory=dict)
    format: str = "safetensors"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.device

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Checkpoint:
        """Move all weights to a device, or to another precision; the checkpoint itself."""
        for part in (self.encoder, self.head, self.branches):
            if part is not None:
                part.to(device=device, dtype=dtype)
        return self


def load(path: str | Path, heads: int | None = None) -> Checkpoint:
    """Read a HuBERT or DAISY checkpoint of any known format, as float32 on the CPU.

    Args:
        path: A file, or a folder that transformers' `save_pretrained` wrote.
        heads: The number of attention heads, for torchaudio's weights of a width that no published model has.

    Raises:
        DaisyError: if it is missing, damaged, of no known format, not safe to read, of a model that is no HuBERT, has
            settings that are not known, or lacks weights.
    """
    path = Path(path)
    name, content = loading.read(path, heads)
    with fitting(path):
        made = dataclasses.replace(_build(content), format=name)
    note("model", [made.encoder.config.layers, made.encoder.config.dim])
    return made


def save(path: str | Path, checkpoint: Checkpoint, format: str) -> None:
    """Write `checkpoint` as a file, or as a folder for ``transformers``.

    Args:
        path: Where to; replaced if it is there.
        checkpoint: What to write.
        format: ``daisy`` (needs branches), ``safetensors`` or ``transformers``.

    Raises:
        DaisyError: if the format is unknown, or the model lacks what it needs.
    """
    writing.write(Path(path), _content(checkpoint), format)


def state_dict(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All weights under fairseq's names, a single positional convolution with its weight norm."""
    state = dict(checkpoint.encoder.state_dict())
    v = state.pop("encoder.pos_conv.0.weight", None)
    if v is not None:  # none of several convolutions has a weight norm
        state |= {"encoder.pos_conv.0.weight_v": v, "encoder.pos_conv.0.weight_g": _weight_norm(v)}
    if checkpoint.mask_embedding is not None:
        state["mask_emb"] = checkpoint.mask_embedding
    branches, head = checkpoint.branches, checkpoint.head
    if branches is not None:
        for k in range(branches.shape[0]):
            state |= {f"final_proj.{k}.weight": branches.weight[k], f"final_proj.{k}.bias": branches.bias[k]}
    if head is not None:
        state |= head.state_dict()
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


# From modules to a file's content


def _content(checkpoint: Checkpoint) -> Content:
    calibrations = {task: item.plain() for task, item in checkpoint.calibrations.items()}
    return Content(state_dict(checkpoint), _configuration(checkpoint), checkpoint.symbols, calibrations)


def _configuration(checkpoint: Checkpoint) -> dict[str, Any]:
    """fairseq's configuration, which says too where the branches sit."""
    config = plain(checkpoint.fairseq_config)
    model = {**config["model"], "cls_pred_position": checkpoint.position}
    if checkpoint.branches is not None:
        model |= {"final_dim": checkpoint.branches.shape[1], "untie_final_proj": True}
    return {**config, "model": model}


# From a file's content to modules


def _build(content: Content) -> Checkpoint:
    shape, state = content.shape, content.state
    encoder = Hubert(shape)
    folded = _fold(state)
    encoder.load_state_dict({name: folded[name] for name in encoder.state_dict()})
    branches = _branches(state, shape)
    return Checkpoint(
        encoder.eval().requires_grad_(False),
        _head(state),
        branches,
        _position(content.config["model"], branches is not None),
        content.config,
        state.get("mask_emb"),
        content.symbols,
        from_plain(content.calibrations, shape.layers),
    )


def _fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the positional convolution's weight norm folded, by whichever names it has."""
    folded = dict(state)
    place = "encoder.pos_conv.0."
    for g, v in (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")):
        if place + g in folded:
            scale, direction = folded.pop(place + g), folded.pop(place + v)
            folded[place + "weight"] = direction * (scale / _weight_norm(direction))
    return folded


def _weight_norm(v: Tensor) -> Tensor:
    """(1, 1, kernel): the norm that fairseq's weight norm of the positional convolution divides by."""
    return v.square().sum((0, 1), keepdim=True).sqrt()


def _head(state: dict[str, Tensor]) -> PretrainingHead | None:
    if "label_embs_concat" not in state or "final_proj.weight" not in state:
        return None
    embeddings, weight = state["label_embs_concat"], state["final_proj.weight"]
    if weight.shape[0] != embeddings.shape[1]:
        return None
    projection = nn.Linear(weight.shape[1], weight.shape[0])
    projection.load_state_dict({"weight": weight, "bias": state["final_proj.bias"]})
    target_glu = None
    if "target_glu.0.weight" in state:
        target_glu = nn.Sequential(nn.Linear(len(weight), 2 * len(weight)), nn.GLU())
        target_glu.load_state_dict({name: state[f"target_glu.{name}"] for name in ("0.weight", "0.bias")})
    return PretrainingHead(projection, embeddings, target_glu).eval().requires_grad_(False)


def _branches(state: dict[str, Tensor], shape: HubertConfig) -> Branches | None:
    if "final_proj.0.weight" not in state:
        return None
    weight = torch.stack([state[f"final_proj.{k}.weight"] for k in range(shape.layers)])
    branches = Branches(*weight.shape)
    bias = torch.stack([state[f"final_proj.{k}.bias"] for k in range(shape.layers)])
    branches.load_state_dict({"weight": weight, "bias": bias})
    return branches.eval().requires_grad_(False)


def _position(model: Mapping[str, Any], has_branches: bool) -> Position:
    # The published code's default for branches; a plain HuBERT's states are its layers' outputs.
    position = model.get("cls_pred_position", "before-norm" if has_branches else "after-norm")
    if position not in POSITIONS:
        raise ValueError(f"cls_pred_position is {position!r}, not one of {', '.join(POSITIONS)}")
    return position
