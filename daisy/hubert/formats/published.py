"""The DAISY format of the paper's authors: a torch file with branches where fairseq has its head.

Recognised by ``model_weight``. Beside it lie fairseq's configuration in two parts, ``model_cfg`` and
``task_cfg``, and ``dictionaries_symbols``; names are fairseq's. s3prl's converted HuBERTs have the same keys, and
fairseq's head. The project adds calibrations under a key of its own, which the authors' code passes over.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.formats import kinds
from daisy.hubert.formats.content import EXTRAS_KEY, Content, Format
from daisy.hubert.formats.fairseq import NAMES, encoder_weights
from daisy.hubert.formats.inert import held
from daisy.hubert.formats.source import Source


def _recognise(source: Source) -> bool:
    return source.kind == "torch" and isinstance(source.content, Mapping) and "model_weight" in source.content


def _read(source: Source) -> Content:
    content: dict[str, Any] = source.content
    config = {part: _values(content, f"{part}_cfg") for part in ("model", "task")}
    if str(config["model"].get("layer_type", "transformer")) == "conformer":
        raise kinds.not_known("a conformer (layer_type)")
    name = str(config["model"].get("_name"))
    other = None if name in NAMES or name.startswith("wav2vec2") else kinds.named(name)
    if other:
        raise kinds.not_known(other)
    symbols = content.get("dictionaries_symbols") or [None]
    if not isinstance(symbols, (list, tuple)):
        raise _other("dictionaries_symbols", "a list of lists")
    extras = _values(content, EXTRAS_KEY)
    weights = content["model_weight"]
    weights = encoder_weights(weights) if isinstance(weights, Mapping) else weights
    return Content(weights, config, symbols[0], extras.get("calibrations") or {})


def _values(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    values = held(vars(found) if isinstance(found, argparse.Namespace) else found)
    if values is not None and not isinstance(values, Mapping):
        raise _other(name, "values by their names")
    return dict(values or {})


def _other(name: str, what: str) -> DaisyError:
    return DaisyError(f"{name} in it is not {what}", fix="Save the checkpoint again from its source")


FORMAT = Format("daisy", _recognise, _read)
