"""Writing a folder that transformers loads: a plain model, and what only daisy knows in files beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch

from daisy.common.files import atomic, write_json
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.hubert.formats.content import Content, beside_encoder
from daisy.hubert.formats.transformers import CONFIG, NAMES, OWN, OWN_WEIGHTS, PREPROCESSOR, WEIGHTS

_CLASSES = {
    **{"hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model", "wavlm": "WavLMModel"},
    "data2vec-audio": "Data2VecAudioModel",
}
"""The class that loads each kind."""

_ACTIVATIONS = {"gelu_tanh": "gelu_new"}
"""transformers' names of activations, where they are others."""


def write_folder(path: Path, content: Content) -> None:
    """Write a folder whose plain model `transformers.AutoModel.from_pretrained` loads.

    Raises:
        DaisyError: if `path` is there and is no such folder, or transformers has no model of such parts.
    """
    shape = content.shape
    kind = _kind(content)
    own = {name: value for name, value in content.state.items() if beside_encoder(name)}
    with _new_folder(path) as folder:
        encoder = {name: value for name, value in content.state.items() if name not in own}
        _save(NAMES.from_own(encoder, shape), folder / WEIGHTS, {"format": "pt"})
        write_json(folder / CONFIG, _config(shape, kind, masks="mask_emb" in encoder))
        write_json(folder / PREPROCESSOR, _preprocessor(shape))
        write_json(folder / OWN, {"fairseq_config": content.config, **content.extras()})
        if own:
            _save(own, folder / OWN_WEIGHTS)


def _save(tensors: dict[str, Any], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors; `atomic` also lets others read them, which safetensors by itself does not."""
    with atomic(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)


def _kind(content: Content) -> str:
    """The model's type in transformers.

    Raises:
        DaisyError: if it has none of such parts.
    """
    shape, name = content.shape, content.config["model"].get("_name")
    if not shape.feature_norm:
        if shape.pos_depth > 1 or shape.buckets:
            problem = "transformers has a model without a norm before the projection as HuBERT alone"
            raise DaisyError(problem, fix="Write safetensors")
        return "hubert"
    if shape.pos_depth > 1:
        if shape.buckets or shape.pre_norm or not shape.layer_norm_front_end:
            problem = "transformers' data2vec has other norms, so that it could not load the model"
            raise DaisyError(problem, fix="Write safetensors")
        return "data2vec-audio"
    return "wavlm" if shape.buckets else "wav2vec2" if name == "wav2vec2" else "hubert"


def _config(shape: HubertConfig, kind: str, *, masks: bool) -> dict[str, Any]:
    """``config.json`` of a model of this shape; `masks` tells whether it has an embedding of masked frames."""
    more: dict[str, Any] = {}
    if shape.pos_depth > 1:
        more = {"num_conv_pos_embeddings": shape.pos_depth, "conv_pos_kernel_size": shape.pos_kernel}
    if shape.buckets:
        more = {"num_buckets": shape.buckets, "max_bucket_distance": shape.furthest}
    widths, kernels, strides = (list(values) for values in zip(*shape.conv_layers, strict=True))
    return {
        "architectures": [_CLASSES[kind]],
        "model_type": kind,
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
        "feat_proj_layer_norm": shape.feature_norm,
        "num_conv_pos_embeddings": shape.pos_kernel,
        "num_conv_pos_embedding_groups": shape.pos_groups,
        "do_stable_layer_norm": shape.pre_norm,
        "hidden_act": _ACTIVATIONS.get(shape.activation, shape.activation),
        "feat_extract_activation": "gelu",
        "layer_norm_eps": shape.norm_eps,
        "mask_time_prob": 0.05 if masks else 0.0,
        "mask_feature_prob": 0.0,
        **more,
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
    if path.exists() and not (path / CONFIG).is_file() and (path.is_file() or any(path.iterdir())):
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
