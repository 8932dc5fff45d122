"""The DAISY format of the paper's authors: a torch file with branches where fairseq has its head.

Recognised by ``model_weight``. Beside it lie fairseq's configuration in two parts, ``model_cfg`` and
``task_cfg``, and ``dictionaries_symbols``; names are fairseq's. The project adds calibrations under a key of
its own, which the authors' code passes over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from daisy.common.files import atomic
from daisy.errors import DaisyError
from daisy.hubert.formats.content import EXTRAS_KEY, HEAD, Content, Format
from daisy.hubert.formats.source import Source
from daisy.hubert.formats.unpickling import held


def _recognise(source: Source) -> bool:
    return source.kind == "torch" and isinstance(source.content, dict) and "model_weight" in source.content


def _read(source: Source) -> Content:
    content: dict[str, Any] = source.content
    config = {"model": held(content.get("model_cfg")) or {}, "task": held(content.get("task_cfg")) or {}}
    symbols = (content.get("dictionaries_symbols") or [None])[0]
    extras = content.get(EXTRAS_KEY) or {}
    return Content(content["model_weight"], config, symbols, extras.get("calibrations") or {})


def _write(path: Path, content: Content) -> None:
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


FORMAT = Format("daisy", _recognise, _read, write=_write)
