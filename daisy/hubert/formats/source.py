"""A checkpoint's file or folder, opened as far as that needs no knowledge of its format; torch is not needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from daisy.errors import DaisyError
from daisy.hubert.formats.kinds import refuse_foreign_file
from daisy.hubert.formats.outline import safetensors_outline, torch_outline

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "ema", "upstream", "Upstream")
"""Where trainers keep a state dict in a torch file that holds more."""


@dataclasses.dataclass(frozen=True)
class Opener:
    """How files are read: their outlines alone, or their tensors.

    Attributes:
        safetensors: The tensors and the metadata of a safetensors file.
        torch: All that a torch file holds.
    """

    safetensors: Callable[[Path], tuple[dict[str, Any], dict[str, str]]]
    torch: Callable[[Path], Any]


OUTLINES = Opener(safetensors_outline, torch_outline)
"""Reads names and shapes, without torch."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What lies at a path.

    Attributes:
        path: The file or folder.
        kind: What it is.
        content: The tensors of a safetensors file by name, all that a torch file holds, or None for a folder.
        header: The metadata of a safetensors file.
        opener: How further files are read.
        heads: The number of attention heads, where a user gave it.
    """

    path: Path
    kind: Literal["folder", "safetensors", "torch"]
    content: Any = None
    header: dict[str, str] = dataclasses.field(default_factory=dict)
    opener: Opener = OUTLINES
    heads: int | None = None

    @property
    def weights(self) -> dict[str, Any]:
        """The weights by name where the file is a state dict, or a trainer's file around one; otherwise empty."""
        return state_dict(self.content)


def state_dict(content: Any) -> dict[str, Any]:
    """The state dict that a torch file is or holds; empty if there is none."""
    if not isinstance(content, Mapping):
        return {}
    for state in (content, *(content.get(key) for key in _WRAPPERS)):
        if isinstance(state, Mapping) and state and _all_tensors(state):
            return dict(state)
    return {}


def _all_tensors(state: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and hasattr(value, "shape") for name, value in state.items())


def open_source(path: Path, opener: Opener = OUTLINES, heads: int | None = None) -> Source:
    """Open a file or a folder; nothing in a file is executed.

    Args:
        path: Which.
        opener: How its tensors are read.
        heads: The number of attention heads, where a user gave it.

    Raises:
        DaisyError: if it is missing, empty, damaged, of a kind that holds no weights, or not safe to read.
    """
    if path.is_dir():
        return Source(path, "folder", opener=opener, heads=heads)
    if not path.is_file():
        fix = "Check the path (upstream.checkpoint); a hub's models are not downloaded"
        raise DaisyError("the checkpoint does not exist", file=path, fix=fix)
    content, header, kind = open_file(path, opener)
    return Source(path, kind, content, header, opener, heads)


def open_file(path: Path, opener: Opener) -> tuple[Any, dict[str, str], Literal["safetensors", "torch"]]:
    """What a file of weights holds, its metadata, and which of the two it is.

    Raises:
        DaisyError: if it is empty, damaged, of a kind that holds no weights, or not safe to read.
    """
    if path.stat().st_size == 0:
        raise DaisyError("the checkpoint is empty", file=path, fix="Restore the file from its source")
    refuse_foreign_file(path)
    try:
        content, header = opener.safetensors(path)
        return content, header, "safetensors"
    except DaisyError:
        if path.suffix == ".safetensors":
            raise
    return opener.torch(path), {}, "torch"
