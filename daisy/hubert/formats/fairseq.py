"""fairseq's pre-training checkpoint, as its trainer saves it; read, and not written.

A torch file whose ``model`` is a state dict, under the names that the project uses as well. The configuration
is ``cfg`` (plain, or OmegaConf's containers) or, in older files, ``args``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.formats.content import Content, Format
from daisy.hubert.formats.source import Source
from daisy.hubert.formats.unpickling import held


def _recognise(source: Source) -> bool:
    content = source.content
    return source.kind == "torch" and isinstance(content, dict) and isinstance(content.get("model"), Mapping)


def _read(source: Source) -> Content:
    return Content(dict(source.content["model"]), _configuration(source.content))


def _configuration(content: Mapping[str, Any]) -> dict[str, Any]:
    config = held(content.get("cfg"))
    if isinstance(config, Mapping) and "model" in config:
        return {key: dict(config.get(key) or {}) for key in ("model", "task", "training")}
    args = content.get("args")
    if args is not None:
        values = dict(args if isinstance(args, Mapping) else vars(args))
        return {"model": values, "task": values}
    raise DaisyError("no model configuration (cfg or args)", fix="Use a fairseq pre-training checkpoint")


FORMAT = Format("fairseq", _recognise, _read)
