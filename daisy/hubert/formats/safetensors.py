"""The project's own file: safetensors under the project's names, all else as JSON in the header.

The header holds fairseq's configuration under `CONFIG_KEY`, and symbols and calibrations under `EXTRAS_KEY`. It is
recognised by the configuration, or by the names of the weights, which without a configuration are an error.
"""

from __future__ import annotations

from daisy.errors import DaisyError
from daisy.hubert.formats.checks import json_object
from daisy.hubert.formats.content import EXTRAS_KEY, Content, Format
from daisy.hubert.formats.source import Source

CONFIG_KEY = "fairseq_config"
"""The key of fairseq's configuration in the header."""


def _recognise(source: Source) -> bool:
    marks = CONFIG_KEY in source.header or "encoder.layers.0.fc1.weight" in source.weights
    return source.kind == "safetensors" and marks


def _read(source: Source) -> Content:
    if CONFIG_KEY not in source.header:
        raise DaisyError(f"no {CONFIG_KEY} in its header", fix="Convert the model from its source again")
    config = json_object(source.header[CONFIG_KEY], source.path, f"{CONFIG_KEY} in its header")
    for part in ("model", "task"):
        if not isinstance(config.get(part), dict):
            raise DaisyError(f"no {part} in {CONFIG_KEY} of its header", fix="Convert the model from its source again")
    extras = json_object(source.header.get(EXTRAS_KEY, "{}"), source.path, f"{EXTRAS_KEY} in its header")
    return Content(source.content, config, extras.get("symbols"), extras.get("calibrations") or {})


FORMAT = Format("safetensors", _recognise, _read)
