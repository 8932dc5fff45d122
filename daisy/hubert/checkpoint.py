"""A HuBERT with what may come with it, built from a checkpoint of any known format.

Formats are told apart by content (`daisy.hubert.reading`): fairseq's pre-training checkpoint, the
published DAISY checkpoint, safetensors with the configuration in the metadata, torchaudio's state dict,
and a transformers folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.calibrations import Calibration, from_plain
from daisy.errors import DaisyError
from daisy.hubert.branches import Branches
from daisy.hubert.config import POSITIONS, HubertConfig, Position, from_fairseq
from daisy.hubert.encoder import Hubert
from daisy.hubert.naming import layer_count, recognise, to_fairseq
from daisy.hubert.reading import Content, read_content


class PretrainingHead(nn.Module):
    """HuBERT's own head: a projection, compared with one embedding per class by cosine similarity."""

    label_embs_concat: Tensor

    def __init__(self, projection: nn.Linear, embeddings: Tensor) -> None:
        super().__init__()
        self.final_proj = projection
        self.register_buffer("label_embs_concat", embeddings)

    def forward(self, states: Tensor) -> Tensor:
        """(..., D) to (..., classes): cosine similarities, of which the largest names the class."""
        return F.linear(F.normalize(self.final_proj(states), dim=-1), F.normalize(self.label_embs_concat, dim=-1))


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
        format: The file's format, one of `daisy.hubert.reading.FORMATS`.
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
        return self.encoder.layer_norm.weight.device

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Checkpoint:
        """Move all weights to a device, or to another precision; the checkpoint itself."""
        for part in (self.encoder, self.head, self.branches):
            if part is not None:
                part.to(device=device, dtype=dtype)
        return self


def load(path: str | Path) -> Checkpoint:
    """Read a HuBERT or DAISY checkpoint of any known format, as float32 on the CPU.

    Args:
        path: A file, or a folder that transformers' `save_pretrained` wrote.

    Raises:
        DaisyError: if it is missing, damaged, of no known format, not safe to read, or lacks weights.
    """
    path = Path(path)
    content = read_content(path)
    state = content.state
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise DaisyError("its weights are not tensors", file=path, fix="Use a HuBERT or DAISY checkpoint")
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    bad = next((name for name, value in state.items() if not torch.isfinite(value).all()), None)
    if bad is not None:
        raise DaisyError(f"the weight {bad} holds NaN or infinity", file=path, fix="Use an undamaged checkpoint")
    try:
        return _build(dataclasses.replace(content, state=state))
    except KeyError as error:
        raise DaisyError(f"the weight {error} is missing", file=path, fix="Use a complete HuBERT checkpoint") from None
    except (RuntimeError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        problem = " ".join(str(error).split())
        raise DaisyError(
            f"the weights do not fit its configuration: {problem[:200]}", file=path, fix="Use another checkpoint"
        ) from None
    except DaisyError as error:
        raise DaisyError(error.problem, file=path, fix=error.fix) from None


def _build(content: Content) -> Checkpoint:
    model = content.config["model"]
    shape = from_fairseq(model, normalize=bool(content.config["task"].get("normalize", False)))
    state = content.state
    peer = recognise(state)
    if peer is not None:
        own = {name: value for name, value in state.items() if name.startswith(("final_proj.", "label_embs_concat"))}
        state = {**to_fairseq(state, shape, peer), **own}
    _check_depth(state, shape)
    encoder = Hubert(shape)
    folded = _fold(state)
    encoder.load_state_dict({name: folded[name] for name in encoder.state_dict()})
    encoder.eval().requires_grad_(False)
    branches = _branches(state, shape)
    return Checkpoint(
        encoder,
        _head(state),
        branches,
        _position(model, branches is not None),
        content.config,
        state.get("mask_emb"),
        content.symbols,
        from_plain(content.extras.get("calibrations") or {}, shape.layers),
        content.format,
    )


def _check_depth(state: Mapping[str, Tensor], shape: HubertConfig) -> None:
    for what, prefix in (("layers", "encoder.layers."), ("branches", "final_proj.")):
        held = layer_count(state, prefix)
        if held and held != shape.layers:
            raise ValueError(f"it has {held} {what}, and {shape.layers} layers by its configuration")


def _fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the positional convolution's weight norm folded, by whichever names it has."""
    folded = dict(state)
    place = "encoder.pos_conv.0."
    for g, v in (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")):
        if place + g in folded:
            scale, direction = folded.pop(place + g), folded.pop(place + v)
            folded[place + "weight"] = direction * (scale / weight_norm(direction))
    return folded


def weight_norm(v: Tensor) -> Tensor:
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
    return PretrainingHead(projection, embeddings).eval().requires_grad_(False)


def _branches(state: dict[str, Tensor], shape: HubertConfig) -> Branches | None:
    if "final_proj.0.weight" not in state:
        return None
    weight = torch.stack([state[f"final_proj.{k}.weight"] for k in range(shape.layers)])
    branches = Branches(*weight.shape)
    bias = torch.stack([state[f"final_proj.{k}.bias"] for k in range(shape.layers)])
    branches.load_state_dict({"weight": weight, "bias": bias})
    if weight.shape[2] != shape.dim:
        raise ValueError(f"branches of width {weight.shape[2]} on a model of width {shape.dim}")
    return branches.eval().requires_grad_(False)


def _position(model: Mapping[str, Any], has_branches: bool) -> Position:
    # The published code's default for branches; a plain HuBERT's states are its layers' outputs.
    position = model.get("cls_pred_position", "before-norm" if has_branches else "after-norm")
    if position not in POSITIONS:
        raise ValueError(f"cls_pred_position is {position!r}, not one of {', '.join(POSITIONS)}")
    return position
