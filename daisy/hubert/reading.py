"""Reading a checkpoint's raw content, whatever its format, without executing anything in it.

torch's unpickler runs with `weights_only`. The few classes that fairseq and OmegaConf pickle beside the
weights are named here one by one, and each is replaced by a stand-in that holds data and does nothing;
any other name ends the reading.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from daisy.errors import DaisyError
from daisy.hubert.naming import recognise, strip, torchaudio_configuration, transformers_configuration

CONFIG_KEY = "fairseq_config"
"""The safetensors metadata key under which fairseq's configuration lies, as JSON."""

EXTRAS_KEY = "daisy"
"""The key of what is ours alone: in safetensors' metadata (JSON) and in the published format (plain types)."""

FOLDER_EXTRAS = ("daisy.json", "daisy.safetensors")
"""Beside a transformers folder's own files: configuration and calibration; branches and head."""

FORMATS = ("daisy", "fairseq", "safetensors", "torchaudio", "transformers")
"""`daisy` is the published DAISY format."""


class Inert:
    """Takes the place of a class that a checkpoint names: keeps what it is given, and does nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Part of a list's protocol."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Part of a dict's protocol."""


_INERT = (
    "fairseq.data.dictionary.Dictionary",
    *(f"omegaconf.{name}" for name in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata", "Node")),
    *(f"omegaconf.nodes.{name}Node" for name in ("Any", "String", "Integer", "Float", "Boolean", "Enum")),
    *("typing.Any", "builtins.dict", "builtins.list"),
    *(f"numpy.core.multiarray.{name}" for name in ("scalar", "_reconstruct")),
    *(f"numpy._core.multiarray.{name}" for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
    "fairseq.dataclass.constants.StrEnum",
    "fairseq.models.wav2vec.wav2vec2.EXTRACTOR_MODE_CHOICES",
    "fairseq.models.wav2vec.wav2vec2.MASKING_DISTRIBUTION_CHOICES",
)


@dataclasses.dataclass
class Content:
    """What lies in a file.

    Attributes:
        format: One of `FORMATS`.
        state: Weights; under fairseq's names, or under a peer's for ``torchaudio`` and ``transformers``.
        config: fairseq's configuration: ``model`` and ``task``, perhaps ``training``.
        extras: What is ours alone: position, calibrations.
        symbols: One symbol per class, if the file names them.
        raw: The whole of a torch file.
    """

    format: str
    state: dict[str, Any]
    config: dict[str, Any]
    extras: dict[str, Any] = dataclasses.field(default_factory=dict)
    symbols: list[str] | None = None
    raw: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_content(path: Path) -> Content:
    """Read a file or a transformers folder; its format is told by what is in it.

    Raises:
        DaisyError: if it is missing, damaged, of no known format, or not safe to read.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise DaisyError("the checkpoint does not exist", file=path, fix="Check the path (upstream.checkpoint)")
    if path.stat().st_size == 0:
        raise DaisyError("the checkpoint is empty", file=path, fix="Restore the file from its source")
    found = _safetensors(path)
    if found is None:
        return _torch_content(unpickle(path), path)
    state, metadata = found
    if CONFIG_KEY in metadata:
        extras = json.loads(metadata.get(EXTRAS_KEY, "{}"))
        return Content("safetensors", state, json.loads(metadata[CONFIG_KEY]), extras, extras.get("symbols"))
    if recognise(state) == "transformers" and (path.parent / "config.json").is_file():
        return _folder(path.parent)
    return _bare(state, path, f"no {CONFIG_KEY} in its metadata, and not torchaudio's names")


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """The tensors and the metadata; None if the file is of another kind."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        if path.suffix == ".safetensors":
            raise damaged(path, error) from None
        return None


def unpickle(path: Path) -> Any:
    """Read a torch file without executing anything in it.

    Raises:
        DaisyError: if it is damaged, or names anything but tensors, plain types and the known stand-ins.
    """
    allowed: list[Any] = [argparse.Namespace, *((Inert, name) for name in _INERT)]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise damaged(path, error) from None
        unsafe = str(error).split("GLOBAL ")[-1].split(" ")[0]
        raise DaisyError(
            f"refused: it wants to load {unsafe}, which is no part of a model", file=path, fix="Do not use this file"
        ) from None
    except (
        *(RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError, IndexError),
        *(UnicodeDecodeError, AttributeError, TypeError, OSError),
    ) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> DaisyError:
    """The error for a file that cannot be read to its end."""
    return DaisyError(
        f"the checkpoint is damaged or cut short ({' '.join(str(error).split())[:120]})",
        file=path,
        fix="Restore the file from its source",
    )


def _torch_content(content: Any, path: Path) -> Content:
    if isinstance(content, dict) and "model_weight" in content:
        config = {"model": _plain(content.get("model_cfg")) or {}, "task": _plain(content.get("task_cfg")) or {}}
        symbols = (content.get("dictionaries_symbols") or [None])[0]
        return Content("daisy", content["model_weight"], config, content.get(EXTRAS_KEY) or {}, symbols, content)
    if isinstance(content, dict) and isinstance(content.get("model"), Mapping):
        return Content("fairseq", dict(content["model"]), _configuration(content, path), raw=content)
    if isinstance(content, Mapping):
        return _bare(content.get("state_dict", content), path, "no known checkpoint format")
    raise _unknown(path, "no known checkpoint format")


def _bare(state: Any, path: Path, problem: str) -> Content:
    """A state dict alone, of which torchaudio's tells enough."""
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise _unknown(path, problem)
    peer = recognise(state)
    if peer == "transformers":
        raise DaisyError("transformers' weights without config.json", file=path, fix="Give the whole folder")
    if peer is None:
        raise _unknown(path, problem)
    try:
        return Content("torchaudio", strip(state), torchaudio_configuration(state))
    except KeyError as error:
        raise DaisyError(f"the weight {error} is missing", file=path, fix="Use a complete HuBERT checkpoint") from None
    except DaisyError as error:
        raise DaisyError(error.problem, file=path, fix=error.fix) from None


def _unknown(path: Path, problem: str) -> DaisyError:
    return DaisyError(
        problem, file=path, fix="Use a checkpoint of fairseq, DAISY, torchaudio, transformers (its folder) or daisy"
    )


def _configuration(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    config = _plain(content.get("cfg"))
    if isinstance(config, Mapping) and "model" in config:
        return {key: dict(config.get(key) or {}) for key in ("model", "task", "training")}
    args = content.get("args")
    if args is not None:
        values = dict(args if isinstance(args, Mapping) else vars(args))
        return {"model": values, "task": values}
    raise DaisyError("no model configuration (cfg or args)", file=path, fix="Use a fairseq pre-training checkpoint")


def _plain(value: Any) -> Any:
    """`value` with the stand-ins for OmegaConf's containers and for enumerations turned into what they hold."""
    if isinstance(value, Inert):
        state = getattr(value, "state", None)
        if isinstance(state, Mapping):
            return _plain(state.get("_content", state.get("_val")))
        return value.arguments[0] if value.arguments else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value


def _folder(path: Path) -> Content:
    config = _json(path / "config.json", required=True)
    processor = _json(path / "preprocessor_config.json", required=False)
    try:
        fairseq = transformers_configuration(config, normalize=processor.get("do_normalize"))
    except DaisyError as error:
        raise DaisyError(error.problem, file=path / "config.json", fix=error.fix) from None
    state = _folder_weights(path)
    if recognise(state) != "transformers":
        raise _unknown(path, "its weights do not have transformers' names")
    extras_file, weights_file = (path / name for name in FOLDER_EXTRAS)
    extras = _json(extras_file, required=False)
    more = _safetensors(weights_file) if weights_file.is_file() else None
    if more is not None:
        state = {**state, **more[0]}
    if "fairseq_config" in extras:
        fairseq = extras["fairseq_config"]
    return Content("transformers", state, fairseq, extras, extras.get("symbols"))


def _folder_weights(path: Path) -> dict[str, Tensor]:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        files = sorted(set(_json(index, required=True)["weight_map"].values()))
    elif (path / "model.safetensors").is_file():
        files = ["model.safetensors"]
    else:
        raise DaisyError(
            "no model.safetensors in the folder",
            file=path,
            fix="Save the model again with transformers' save_pretrained",
        )
    state: dict[str, Tensor] = {}
    for name in files:
        if Path(name).name != name or not (path / name).is_file():
            raise DaisyError(f"the index names {name}, which is not there", file=index, fix="Restore the folder")
        found = _safetensors(path / name)
        assert found is not None  # the suffix is .safetensors, so that another kind is an error
        state |= found[0]
    return state


def _json(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise DaisyError(f"no {path.name} in the folder", file=path.parent, fix="Give a HuBERT's folder or file")
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DaisyError(f"not valid JSON ({error})", file=path, fix="Restore the file from its source") from None
    if not isinstance(value, dict):
        raise DaisyError("not a JSON object", file=path, fix="Restore the file from its source")
    return value
