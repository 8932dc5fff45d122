"""Files' tensors, read by torch: the second half of reading a checkpoint, after its outline has passed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from daisy.errors import DaisyError
from daisy.hubert.formats.checks import damaged
from daisy.hubert.formats.inert import NAMES, Inert
from daisy.hubert.formats.outline import torch_outline
from daisy.hubert.formats.source import Opener


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        DaisyError: if it is damaged or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise damaged(path, error) from None


def unpickle(path: Path) -> Any:
    """Read a torch file without executing anything in it.

    Its outline is read first, which refuses what names anything but tensors, plain types and the known stand-ins, and
    tensors that do not lie in the file; then torch's own unpickler runs with `weights_only` and the same stand-ins.

    Raises:
        DaisyError: if it is damaged or refused.
    """
    torch_outline(path)
    allowed: list[Any] = [argparse.Namespace, *((Inert, name) for name in NAMES)]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle can go wrong in as many ways as there are operations
        if "GLOBAL " not in str(error):
            raise damaged(path, error) from None
        unsafe = str(error).split("GLOBAL ")[-1].split(" ")[0]
        raise DaisyError(
            f"refused: it wants to load {unsafe}, which is no part of a model",
            file=path,
            fix="Do not use this file; where you trust it, save the model's state_dict and configuration alone",
        ) from None


TENSORS = Opener(read_tensors, unpickle)
"""Reads everything."""


def sound(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's weights, all that is floating-point as float32.

    Raises:
        DaisyError: if one holds NaN or infinity.
    """
    result = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    bad = next((name for name, value in result.items() if not torch.isfinite(value).all()), None)
    if bad is not None:
        raise DaisyError(f"the weight {bad} holds NaN or infinity", fix="Use an undamaged checkpoint")
    return result
