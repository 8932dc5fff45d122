"""The DAISY format of the paper's authors: a torch file with branches where fairseq has its head.

Recognised by ``model_weight``. Beside it lie fairseq's configuration in two parts, ``model_cfg`` and
``task_cfg``, and ``dictionaries_symbols``; names are fairseq's. s3prl's converted HuBERTs have the same keys, and
fairseq's head. The project adds calibrations under a key of its own, which the authors' code passes over.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from daisy.hubert.formats import kinds
from daisy.hubert.formats.content import EXTRAS_KEY, Content, Format
from daisy.hubert.formats.inert import held
from daisy.hubert.formats.source import Source


def _recognise(source: Source) -> bool:
    return source.kind == "torch" and isinstance(source.content, Mapping) and "model_weight" in source.content


def _read(source: Source) -> Content:
    content: dict[str, Any] = source.content
    config = {"model": _values(content.get("model_cfg")), "task": _values(content.get("task_cfg"))}
    if str(config["model"].get("layer_type", "transformer")) == "conformer":
        raise kinds.not_a_hubert("a conformer (layer_type)")
    other = kinds.named(str(config["model"].get("_name")))
    if other and not str(config["model"]["_name"]).startswith("wav2vec2"):
        raise kinds.not_a_hubert(other)
    symbols = (content.get("dictionaries_symbols") or [None])[0]
    extras = content.get(EXTRAS_KEY) or {}
    return Content(content["model_weight"], config, symbols, extras.get("calibrations") or {})


def _values(config: Any) -> dict[str, Any]:
    values = held(vars(config) if isinstance(config, argparse.Namespace) else config)
    return dict(values or {})


FORMAT = Format("daisy", _recognise, _read)
