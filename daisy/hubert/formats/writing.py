"""Writing checkpoints: each format that can be written, by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from daisy.common.files import atomic
from daisy.errors import DaisyError
from daisy.hubert.formats.content import EXTRAS_KEY, HEAD, Content, plain
from daisy.hubert.formats.safetensors import CONFIG_KEY
from daisy.hubert.formats.transformers_folder import write_folder


def write(path: Path, content: Content, format: str) -> None:
    """Write a content in a format, by name.

    Raises:
        DaisyError: if the format is unknown or only read, or the content lacks what it needs.
    """
    if format not in WRITERS:
        raise DaisyError(f"the format {format!r} cannot be written", fix=f"Use {', '.join(sorted(WRITERS))}")
    WRITERS[format](path, content)


def _published(path: Path, content: Content) -> None:
    """Write a file that the authors' code reads too, without the pre-training head.

    Raises:
        DaisyError: if there are no branches.
    """
    if "final_proj.0.weight" not in content.state:
        raise DaisyError(
            "a DAISY checkpoint needs exit branches, and the model has none",
            fix="Train branches first, or write safetensors or transformers",
        )
    classes = len(content.state["final_proj.0.weight"])
    written = {
        "task_cfg": content.config["task"],
        "model_cfg": content.config["model"],
        "model_weight": {name: value for name, value in content.state.items() if name not in HEAD},
        "dictionaries_symbols": [content.symbols or [str(number) for number in range(classes)]],
    }
    if content.calibrations:
        written[EXTRAS_KEY] = {"calibrations": content.calibrations}
    # As an open file: torch takes a name without an ending for none.
    with atomic(path) as temporary, open(temporary, "wb") as file:
        torch.save(written, file)


def _safetensors(path: Path, content: Content) -> None:
    extras = content.extras()
    write_file(path, content.state, {CONFIG_KEY: content.config, **({EXTRAS_KEY: extras} if extras else {})})


def write_file(path: Path, state: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write weights under the project's names, and the values of `header` as JSON, atomically."""
    texts = {key: json.dumps(plain(value)) for key, value in header.items()}
    with atomic(path) as temporary:
        safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, temporary, texts)


WRITERS = {"daisy": _published, "safetensors": _safetensors, "transformers": write_folder}
"""By format."""
