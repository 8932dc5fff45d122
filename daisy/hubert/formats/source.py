"""A checkpoint's file or folder, opened as far as that needs no knowledge of its format."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
from torch import Tensor

from daisy.errors import DaisyError
from daisy.hubert.formats.checks import damaged
from daisy.hubert.formats.unpickling import unpickle


@dataclasses.dataclass(frozen=True)
class Source:
    """What lies at a path.

    Attributes:
        path: The file or folder.
        kind: What it is.
        content: The tensors of a safetensors file by name, all that a torch file holds, or None for a folder.
        header: The metadata of a safetensors file.
    """

    path: Path
    kind: Literal["folder", "safetensors", "torch"]
    content: Any = None
    header: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by name where the file is nothing but a state dict; otherwise empty."""
        content = self.content
        if self.kind == "torch" and isinstance(content, Mapping):
            content = content.get("state_dict", content)
        if not isinstance(content, Mapping):
            return {}
        ok = all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
        return dict(content) if ok else {}


def open_source(path: Path) -> Source:
    """Open a file or a folder; nothing in a file is executed.

    Raises:
        DaisyError: if it is missing, empty, damaged, or not safe to read.
    """
    if path.is_dir():
        return Source(path, "folder")
    if not path.is_file():
        raise DaisyError("the checkpoint does not exist", file=path, fix="Check the path (upstream.checkpoint)")
    if path.stat().st_size == 0:
        raise DaisyError("the checkpoint is empty", file=path, fix="Restore the file from its source")
    try:
        return Source(path, "safetensors", *read_tensors(path))
    except DaisyError:
        if path.suffix == ".safetensors":
            raise
    return Source(path, "torch", unpickle(path))


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
