"""Reading HuBERT and DAISY checkpoints, and writing the published DAISY format.

Three formats are told apart by content: fairseq's pre-training checkpoint (`model` and `cfg`), the
published DAISY checkpoint (`model_weight`, `model_cfg`), and safetensors with fairseq's names and its
configuration in the metadata. Nothing in a file is executed: torch loads with `weights_only`, and the
few classes that fairseq pickles beside the weights are replaced by inert stand-ins.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.errors import DaisyError
from daisy.files import atomic
from daisy.hubert.branches import Branches
from daisy.hubert.config import POSITIONS, HubertConfig, Position, from_fairseq
from daisy.hubert.encoder import Hubert

CONFIG_KEY = "fairseq_config"
"""The safetensors metadata key under which fairseq's configuration lies, as JSON."""


class _Dictionary:
    """Takes the place of fairseq's Dictionary while a checkpoint is read; holds attributes, does nothing."""


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
    """

    encoder: Hubert
    head: PretrainingHead | None
    branches: Branches | None
    position: Position
    fairseq_config: dict[str, Any]


def load(path: str | Path) -> Checkpoint:
    """Read a HuBERT or DAISY checkpoint of any known format, as float32 on the CPU.

    Raises:
        DaisyError: if the file is missing, damaged, of no known format, not safe to read, or lacks weights.
    """
    path = Path(path)
    content = read_content(path)
    if "model_weight" in content:
        state, config = content["model_weight"], {"model": content["model_cfg"], "task": content.get("task_cfg") or {}}
    else:
        state, config = content["model"], _configuration(content, path)
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise DaisyError("its weights are not tensors", file=path, fix="Use a HuBERT or DAISY checkpoint")
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    bad = next((name for name, value in state.items() if not torch.isfinite(value).all()), None)
    if bad is not None:
        raise DaisyError(f"the weight {bad} holds NaN or infinity", file=path, fix="Use an undamaged checkpoint")
    try:
        return _build(state, config)
    except KeyError as error:
        raise DaisyError(f"the weight {error} is missing", file=path, fix="Use a complete HuBERT checkpoint") from None
    except (RuntimeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise DaisyError(
            f"the weights do not fit its configuration: {problem[:200]}", file=path, fix="Use another checkpoint"
        ) from None


def read_content(path: Path) -> dict[str, Any]:
    """Read a checkpoint's raw content without executing anything in it.

    Raises:
        DaisyError: if the file is missing, damaged, of no known format, or not safe to read.
    """
    if not path.is_file():
        raise DaisyError("the checkpoint does not exist", file=path, fix="Check upstream.checkpoint in the config")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if CONFIG_KEY not in metadata:
                raise DaisyError(f"no {CONFIG_KEY} in its metadata", file=path, fix="Use a checkpoint made by daisy")
            return {
                "model": {name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118
                "cfg": json.loads(metadata[CONFIG_KEY]),
            }
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        if path.suffix == ".safetensors":
            raise DaisyError(f"damaged ({error})", file=path, fix="Restore the file from its source") from None
    stand_ins: list[Any] = [(_Dictionary, "fairseq.data.dictionary.Dictionary"), argparse.Namespace]
    try:
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise _damaged(path, error) from None
        unsafe = str(error).split("GLOBAL ")[-1].split(" ")[0]
        raise DaisyError(
            f"refused: it wants to load {unsafe}, which is no part of a model", file=path, fix="Do not use this file"
        ) from None
    except (RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None
    if not isinstance(content, dict) or not ({"model", "model_weight"} & set(content)):
        raise DaisyError("no known checkpoint format", file=path, fix="Use a fairseq, DAISY or safetensors checkpoint")
    return content


def _damaged(path: Path, error: Exception) -> DaisyError:
    return DaisyError(
        f"the checkpoint is damaged or cut short ({' '.join(str(error).split())[:120]})",
        file=path,
        fix="Restore the file from its source",
    )


def _configuration(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    config = content.get("cfg")
    if isinstance(config, Mapping) and "model" in config:
        return {key: dict(config.get(key) or {}) for key in ("model", "task", "training")}
    args = content.get("args")
    if args is not None:
        values = dict(args if isinstance(args, Mapping) else vars(args))
        return {"model": values, "task": values}
    raise DaisyError("no model configuration (cfg or args)", file=path, fix="Use a fairseq pre-training checkpoint")


def _build(state: dict[str, Tensor], config: dict[str, Any]) -> Checkpoint:
    model = config["model"]
    shape = from_fairseq(model, normalize=bool(config["task"].get("normalize", False)))
    encoder = Hubert(shape)
    folded = dict(state)
    if "encoder.pos_conv.0.weight_g" in folded:
        g, v = folded.pop("encoder.pos_conv.0.weight_g"), folded.pop("encoder.pos_conv.0.weight_v")
        folded["encoder.pos_conv.0.weight"] = v * (g / _norm(v))
    encoder.load_state_dict({name: folded[name] for name in encoder.state_dict()})
    encoder.eval().requires_grad_(False)
    return Checkpoint(encoder, _head(state), _branches(state, shape), _position(model), config)


def _norm(v: Tensor) -> Tensor:
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


def _position(model: Mapping[str, Any]) -> Position:
    position = model.get("cls_pred_position", "before-norm")
    if position not in POSITIONS:
        raise ValueError(f"cls_pred_position is {position!r}, not one of {', '.join(POSITIONS)}")
    return position


def save_published(path: Path, checkpoint: Checkpoint, dictionary: list[str]) -> None:
    """Write a DAISY checkpoint in the published format, which the paper's code reads too.

    Args:
        path: The file, written atomically.
        checkpoint: A model with branches.
        dictionary: One symbol per class.

    Raises:
        ValueError: if the model has no branches.
    """
    branches = checkpoint.branches
    if branches is None:
        raise ValueError("a DAISY checkpoint needs branches")
    state = dict(checkpoint.encoder.state_dict())
    v = state.pop("encoder.pos_conv.0.weight")
    state |= {"encoder.pos_conv.0.weight_v": v, "encoder.pos_conv.0.weight_g": _norm(v)}
    layers, classes, _ = branches.shape
    for k in range(layers):
        state[f"final_proj.{k}.weight"] = branches.weight[k].clone()
        state[f"final_proj.{k}.bias"] = branches.bias[k].clone()
    model = {
        **checkpoint.fairseq_config["model"],
        "cls_pred_position": checkpoint.position,
        "final_dim": classes,
        "untie_final_proj": True,
    }
    content = {
        "task_cfg": checkpoint.fairseq_config["task"],
        "model_cfg": model,
        "model_weight": {name: value.detach().clone() for name, value in state.items()},
        "dictionaries_symbols": [dictionary],
    }
    with atomic(path) as temporary:
        torch.save(content, temporary)


def plain(value: Any) -> Any:
    """`value` with everything but plain types turned into plain types, as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def save_safetensors(path: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write weights with fairseq's names, and fairseq's configuration in the metadata, atomically."""
    metadata = {CONFIG_KEY: json.dumps(plain(config))}
    with atomic(path) as temporary:
        safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, temporary, metadata)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
