"""A folder of transformers' `HubertModel.save_pretrained`, or of a model around one, as CTC has it.

``model.safetensors``, or several files with an index, holds the weights, ``config.json`` the shape, and
``preprocessor_config.json`` whether waveforms are normalised. The project adds two files of its own, which
transformers passes over: ``daisy.json`` (fairseq's configuration, symbols, calibrations) and
``daisy.safetensors`` (branches and pre-training head, under the project's names). The weights' file alone is
read with the folder that it lies in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from daisy.common.files import write_json
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.hubert.formats.checks import fitting, json_object
from daisy.hubert.formats.content import Content, Format, beside_encoder
from daisy.hubert.formats.renaming import Names
from daisy.hubert.formats.source import Source, read_tensors

NAMES = Names(projection="feature_projection.", transformer="encoder.", single={"mask_emb": "masked_spec_embed"})

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_CONFIG, _PREPROCESSOR = "config.json", "preprocessor_config.json"
_OWN, _OWN_WEIGHTS = "daisy.json", "daisy.safetensors"

# Reading


def _recognise(source: Source) -> bool:
    return source.kind == "folder" or NAMES.used_by(source.weights)


def _read(source: Source) -> Content:
    folder = source.path if source.kind == "folder" else source.path.parent
    if source.kind == "torch" or (source.kind == "safetensors" and not (folder / _CONFIG).is_file()):
        raise DaisyError("transformers' weights without config.json", fix="Give the whole folder")
    config = _json(folder / _CONFIG, required=True)
    processor = _json(folder / _PREPROCESSOR, required=False)
    with fitting(folder / _CONFIG):
        fairseq = _fairseq_config(config, normalize=processor.get("do_normalize"))
    state = _weights(folder)
    if not NAMES.used_by(state):
        raise DaisyError("its weights do not have transformers' names", file=folder, fix="Use the folder of a HuBERT")
    extras = _json(folder / _OWN, required=False)
    if (folder / _OWN_WEIGHTS).is_file():
        state |= read_tensors(folder / _OWN_WEIGHTS)[0]
    return Content(
        state, extras.get("fairseq_config", fairseq), extras.get("symbols"), extras.get("calibrations") or {}
    )


def _rename(state: Mapping[str, Tensor], shape: HubertConfig) -> dict[str, Tensor]:
    return NAMES.to_own(state, shape) | {name: value for name, value in state.items() if beside_encoder(name)}


def _weights(folder: Path) -> dict[str, Tensor]:
    index = folder / _INDEX
    if index.is_file():
        places = _json(index, required=True).get("weight_map")
        if not isinstance(places, dict):
            raise DaisyError("no weight_map in the index", file=index, fix="Restore the folder")
        files = sorted(set(places.values()))
    elif (folder / _WEIGHTS).is_file():
        files = [_WEIGHTS]
    else:
        raise DaisyError(
            f"no {_WEIGHTS} in the folder",
            file=folder,
            fix="Save the model again with transformers' save_pretrained",
        )
    state: dict[str, Tensor] = {}
    for name in files:
        if Path(name).name != name or not (folder / name).is_file():
            raise DaisyError(f"the index names {name}, which is not there", file=index, fix="Restore the folder")
        state |= read_tensors(folder / name)[0]
    return state


def _json(path: Path, *, required: bool) -> dict[str, Any]:
    if path.is_file():
        try:
            return json_object(path.read_text(encoding="utf-8"), path)
        except UnicodeDecodeError as error:
            raise DaisyError(f"not valid JSON ({error})", file=path, fix="Restore the file from its source") from None
    if required:
        raise DaisyError(f"no {path.name} in the folder", file=path.parent, fix="Give a HuBERT's folder or file")
    return {}


def _fairseq_config(config: Mapping[str, Any], *, normalize: bool | None) -> dict[str, Any]:
    """fairseq's configuration of a HuBERT.

    Args:
        config: The content of ``config.json``; what it leaves out takes transformers' defaults.
        normalize: ``do_normalize`` of the feature extractor's file; None if there is none, and then as in
            fairseq's models: normalised where the front end has layer norms.

    Raises:
        DaisyError: if the model is of another kind, or has a part that HuBERT does not have.
    """
    kind = config.get("model_type")
    if kind != "hubert":
        raise DaisyError(f"model_type is {kind!r}", fix="Use a model whose type is 'hubert'")
    for key, usual in (
        ("hidden_act", "gelu"),
        ("feat_extract_activation", "gelu"),
        ("feat_proj_layer_norm", True),
        ("conv_pos_batch_norm", False),
    ):
        if config.get(key, usual) != usual:
            raise DaisyError(f"{key} is {config[key]!r}, and only {usual!r} is known", fix="Use another HuBERT")
    large = config.get("feat_extract_norm", "group") == "layer"
    widths = config.get("conv_dim", [512] * 7)
    kernels = config.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2])
    strides = config.get("conv_stride", [5, 2, 2, 2, 2, 2, 2])
    model = {
        "conv_feature_layers": str(list(zip(widths, kernels, strides, strict=True))),
        "conv_bias": config.get("conv_bias", False),
        "extractor_mode": "layer_norm" if large else "default",
        "encoder_embed_dim": config.get("hidden_size", 768),
        "encoder_ffn_embed_dim": config.get("intermediate_size", 3072),
        "encoder_attention_heads": config.get("num_attention_heads", 12),
        "encoder_layers": config.get("num_hidden_layers", 12),
        "conv_pos": config.get("num_conv_pos_embeddings", 128),
        "conv_pos_groups": config.get("num_conv_pos_embedding_groups", 16),
        "layer_norm_first": config.get("do_stable_layer_norm", False),
    }
    return {"model": model, "task": {"normalize": large if normalize is None else normalize}}


# Writing


def _write(path: Path, content: Content) -> None:
    """Write a folder whose plain HuBERT `transformers.HubertModel.from_pretrained` loads.

    Raises:
        DaisyError: if `path` is there and is no such folder.
    """
    shape = content.shape
    own = {name: value for name, value in content.state.items() if beside_encoder(name)}
    with _new_folder(path) as folder:
        encoder = {name: value for name, value in content.state.items() if name not in own}
        safetensors.torch.save_file(NAMES.from_own(encoder, shape), folder / _WEIGHTS, {"format": "pt"})
        write_json(folder / _CONFIG, _config(shape, masks="mask_emb" in encoder))
        write_json(folder / _PREPROCESSOR, _preprocessor(shape))
        write_json(folder / _OWN, {"fairseq_config": content.config, **content.extras()})
        if own:
            safetensors.torch.save_file(own, folder / _OWN_WEIGHTS)


def _config(shape: HubertConfig, *, masks: bool) -> dict[str, Any]:
    """``config.json`` of a HuBERT of this shape; `masks` tells whether it has an embedding of masked frames."""
    widths, kernels, strides = (list(values) for values in zip(*shape.conv_layers, strict=True))
    return {
        "architectures": ["HubertModel"],
        "model_type": "hubert",
        "torch_dtype": "float32",
        "hidden_size": shape.dim,
        "intermediate_size": shape.ffn_dim,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "conv_dim": widths,
        "conv_kernel": kernels,
        "conv_stride": strides,
        "num_feat_extract_layers": len(widths),
        "conv_bias": shape.conv_bias,
        "feat_extract_norm": "layer" if shape.layer_norm_front_end else "group",
        "feat_proj_layer_norm": True,
        "num_conv_pos_embeddings": shape.pos_kernel,
        "num_conv_pos_embedding_groups": shape.pos_groups,
        "do_stable_layer_norm": shape.pre_norm,
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "layer_norm_eps": 1e-5,
        "mask_time_prob": 0.05 if masks else 0.0,
        "mask_feature_prob": 0.0,
    }


def _preprocessor(shape: HubertConfig) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16_000,
        "padding_value": 0.0,
        "padding_side": "right",
        "do_normalize": shape.normalize,
        "return_attention_mask": shape.layer_norm_front_end,
    }


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; put it in its place once the block ends without an error.

    Raises:
        DaisyError: if `path` is there and is neither empty nor a model's folder.
    """
    if path.exists() and not (path / _CONFIG).is_file() and (path.is_file() or any(path.iterdir())):
        raise DaisyError("it is there and is no model folder", file=path, fix="Choose a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield temporary
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


FORMAT = Format("transformers", _recognise, _read, _rename, _write)
