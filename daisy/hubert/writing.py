"""Writing a HuBERT with its branches: the published DAISY format, safetensors, a transformers folder.

Weights are written as they were read, to the bit: a checkpoint that goes through any of the formats
comes back the same.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from daisy.errors import DaisyError
from daisy.files import atomic, write_json
from daisy.hubert.checkpoint import Checkpoint, weight_norm
from daisy.hubert.naming import from_fairseq_names, transformers_config
from daisy.hubert.reading import CONFIG_KEY, EXTRAS_KEY, FOLDER_EXTRAS

_HEAD = ("label_embs_concat", "final_proj.weight", "final_proj.bias")


def save(path: str | Path, checkpoint: Checkpoint, format: str) -> None:
    """Write `checkpoint` as a file, or as a folder for ``transformers``.

    Args:
        path: Where to; replaced if it is there.
        checkpoint: What to write.
        format: ``daisy`` (needs branches), ``safetensors`` or ``transformers``.

    Raises:
        DaisyError: if the format is unknown, or the model lacks what it needs.
    """
    if format not in WRITERS:
        raise DaisyError(f"the format {format!r} cannot be written", fix=f"Use {', '.join(WRITERS)}")
    WRITERS[format](Path(path), checkpoint)


def state_dict(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All weights under fairseq's names, the positional convolution with its weight norm."""
    state = dict(checkpoint.encoder.state_dict())
    v = state.pop("encoder.pos_conv.0.weight")
    state |= {"encoder.pos_conv.0.weight_v": v, "encoder.pos_conv.0.weight_g": weight_norm(v)}
    if checkpoint.mask_embedding is not None:
        state["mask_emb"] = checkpoint.mask_embedding
    return {
        name: value.detach().cpu().contiguous().clone() for name, value in (state | own_weights(checkpoint)).items()
    }


def own_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights of branches and pre-training head."""
    state: dict[str, Tensor] = {}
    branches, head = checkpoint.branches, checkpoint.head
    if branches is not None:
        for k in range(branches.shape[0]):
            state[f"final_proj.{k}.weight"] = branches.weight[k].detach().clone()
            state[f"final_proj.{k}.bias"] = branches.bias[k].detach().clone()
    if head is not None:
        state |= {name: value.detach().clone() for name, value in head.state_dict().items()}
    return state


def extras(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is ours alone, as plain types."""
    result: dict[str, Any] = {}
    if checkpoint.symbols is not None:
        result["symbols"] = checkpoint.symbols
    if checkpoint.calibrations:
        result["calibrations"] = {task: item.plain() for task, item in checkpoint.calibrations.items()}
    return result


def _configuration(checkpoint: Checkpoint) -> dict[str, Any]:
    """fairseq's configuration, which says too where the branches sit."""
    config = plain(checkpoint.fairseq_config)
    model = {**config["model"], "cls_pred_position": checkpoint.position}
    if checkpoint.branches is not None:
        model |= {"final_dim": checkpoint.branches.shape[1], "untie_final_proj": True}
    return {**config, "model": model}


def plain(value: Any) -> Any:
    """`value` with everything but plain types turned into plain types, as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def save_published(path: Path, checkpoint: Checkpoint) -> None:
    """Write a DAISY checkpoint in the published format, which the paper's code reads too.

    Raises:
        DaisyError: if the model has no branches.
    """
    if checkpoint.branches is None:
        raise DaisyError(
            "a DAISY checkpoint needs exit branches, and the model has none",
            fix="Train branches first, or write safetensors or transformers",
        )
    classes = checkpoint.branches.shape[1]
    symbols = checkpoint.symbols or [str(number) for number in range(classes)]
    config = _configuration(checkpoint)
    content = {
        "task_cfg": config["task"],
        "model_cfg": config["model"],
        # Its branches stand where fairseq has its head.
        "model_weight": {name: value for name, value in state_dict(checkpoint).items() if name not in _HEAD},
        "dictionaries_symbols": [symbols],
    }
    rest = {key: value for key, value in extras(checkpoint).items() if key != "symbols"}
    if rest:
        content[EXTRAS_KEY] = rest
    # As an open file: torch takes a name without an ending for none.
    with atomic(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def save_safetensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write weights with fairseq's names, and `metadata` as JSON in the file's header, atomically."""
    texts = {key: json.dumps(plain(value)) for key, value in metadata.items()}
    with atomic(path) as temporary:
        safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, temporary, texts)


def _save_one_file(path: Path, checkpoint: Checkpoint) -> None:
    metadata = {CONFIG_KEY: _configuration(checkpoint)}
    more = extras(checkpoint)
    save_safetensors(path, state_dict(checkpoint), metadata | ({EXTRAS_KEY: more} if more else {}))


def save_transformers(path: Path, checkpoint: Checkpoint) -> None:
    """Write a folder whose plain HuBERT `transformers.HubertModel.from_pretrained` loads.

    Branches, head and calibration lie beside it in files of their own.

    Raises:
        DaisyError: if `path` is there and is no such folder.
    """
    path = Path(path)
    if path.exists() and not (path / "config.json").is_file() and (path.is_file() or any(path.iterdir())):
        raise DaisyError("it is there and is no model folder", file=path, fix="Choose a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = checkpoint.encoder.config
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        own = own_weights(checkpoint)
        state = {name: value for name, value in state_dict(checkpoint).items() if name not in own}
        hidden = from_fairseq_names(state, shape, "transformers")
        safetensors.torch.save_file(hidden, temporary / "model.safetensors", {"format": "pt"})
        config = transformers_config(shape, masks=checkpoint.mask_embedding is not None)
        write_json(temporary / "config.json", config)
        processor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "sampling_rate": 16_000}
        processor |= {"padding_value": 0.0, "padding_side": "right", "do_normalize": shape.normalize}
        write_json(
            temporary / "preprocessor_config.json", {**processor, "return_attention_mask": shape.layer_norm_front_end}
        )
        content = {"fairseq_config": _configuration(checkpoint), **extras(checkpoint)}
        write_json(temporary / FOLDER_EXTRAS[0], content)
        if own:
            safetensors.torch.save_file(own, temporary / FOLDER_EXTRAS[1])
        temporary.chmod(0o777 & ~_umask())
        _replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`; the old one goes only once the new one stands."""
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-old-"))
    path.rename(old / path.name)
    new.rename(path)
    shutil.rmtree(old)


WRITERS: dict[str, Callable[[Path, Checkpoint], None]] = {
    "daisy": save_published,
    "safetensors": _save_one_file,
    "transformers": save_transformers,
}
"""By format."""
