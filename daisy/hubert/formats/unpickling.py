"""Reading torch files without executing anything in them.

torch's unpickler runs with `weights_only`. The few classes that fairseq and OmegaConf pickle beside the
weights are named here one by one, and each is replaced by a stand-in that holds data and does nothing;
any other name ends the reading.
"""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from daisy.errors import DaisyError
from daisy.hubert.formats.checks import damaged


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


def held(value: Any) -> Any:
    """`value` with the stand-ins for OmegaConf's containers and for enumerations turned into what they hold."""
    if isinstance(value, Inert):
        state = getattr(value, "state", None)
        if isinstance(state, Mapping):
            return held(state.get("_content", state.get("_val")))
        return value.arguments[0] if value.arguments else None
    if isinstance(value, Mapping):
        return {key: held(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(held(item) for item in value)
    return value
