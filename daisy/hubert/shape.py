"""Depth and width of a checkpoint, where its header tells; the weights stay unread, and torch unimported."""

from __future__ import annotations

import json
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import NamedTuple

_LONGEST_HEADER = 100_000_000


class Shape(NamedTuple):
    """K and D.

    Attributes:
        layers: K, the transformer layers.
        dim: D, their width.
    """

    layers: int
    dim: int


def shape_of(path: Path) -> Shape | None:
    """The shape of a HuBERT in daisy's safetensors, a transformers folder, or a file of torch's with a config.

    None where only the weights could tell.
    """
    try:
        if path.is_dir():
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            return Shape(int(config["num_hidden_layers"]), int(config["hidden_size"]))
        model = _of_torch(path) if zipfile.is_zipfile(path) else _of_safetensors(path)
        return Shape(int(model["encoder_layers"]), int(model["encoder_embed_dim"]))
    except (OSError, ValueError, KeyError, TypeError, StopIteration, struct.error, zipfile.BadZipFile):
        return None


def _of_safetensors(path: Path) -> dict[str, int]:
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LONGEST_HEADER:
            raise ValueError("no safetensors")
        header = json.loads(file.read(length))
    model: dict[str, int] = json.loads(header["__metadata__"]["fairseq_config"])["model"]
    return model


def _of_torch(path: Path) -> dict[str, int]:
    """The numbers that follow the wanted names in the pickle of a torch file, which is read and never run."""
    with zipfile.ZipFile(path) as file:
        name = next(name for name in file.namelist() if name.endswith("/data.pkl"))
        content = file.read(name)
    numbers: dict[str, int] = {}
    key = ""
    for operation, value, _ in pickletools.genops(content):
        if "UNICODE" in operation.name or "STRING" in operation.name:
            key = value if value in ("encoder_layers", "encoder_embed_dim") else ""
        elif key and isinstance(value, int) and operation.name.startswith(("BININT", "LONG1", "INT")):
            numbers.setdefault(key, value)
            key = ""
            if len(numbers) == len(Shape._fields):
                break
        elif "PUT" not in operation.name and operation.name != "MEMOIZE":
            key = ""
    return numbers
