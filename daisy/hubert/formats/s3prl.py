"""DistilHuBERT's checkpoint, as s3prl's pre-training saves it; read, and not written.

A torch file whose ``Distiller`` is a state dict under fairseq's names, and whose ``Config`` has the model's settings
under ``distiller``. The heads that predict the teacher's layers lie beside the encoder, and are passed over as its
authors pass over them; so are the optimiser's state and the arguments of the training.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.formats.content import Content, Format
from daisy.hubert.formats.fields import DISTILLER
from daisy.hubert.formats.inert import held
from daisy.hubert.formats.source import Source

_SAME = ("conv_pos", "conv_pos_groups", "activation_fn", "layer_norm_first", "extractor_mode") + tuple(
    f"encoder_{name}" for name in ("embed_dim", "ffn_embed_dim", "attention_heads")
)
"""Settings that fairseq calls the same, and for which it has the same defaults."""

_HEADS = ("output_layer.", "task_embedding.")
"""Before the names of what predicts the teacher's layers."""


def _recognise(source: Source) -> bool:
    return source.kind == "torch" and isinstance(source.content, Mapping) and "Distiller" in source.content


def _read(source: Source) -> Content:
    config = _distiller(source.content.get("Config"))
    DISTILLER.check(config)
    model = {"_name": "distiller", "feat_proj_layer_norm": False, "encoder_layers": config.get("encoder_layers", 1)}
    model |= {name: config[name] for name in _SAME if name in config}
    if "extractor_conv_feature_layers" in config:
        model["conv_feature_layers"] = config["extractor_conv_feature_layers"]
    weights = source.content["Distiller"]
    if isinstance(weights, Mapping):
        weights = {name: value for name, value in weights.items() if not str(name).startswith(_HEADS)}
    return Content(weights, {"model": model, "task": {"normalize": False}})


def _distiller(config: Any) -> dict[str, Any]:
    """The model's settings.

    Raises:
        DaisyError: if the file has none.
    """
    values = held(vars(config) if isinstance(config, argparse.Namespace) else config)
    found = values.get("distiller") if isinstance(values, Mapping) else None
    if not isinstance(found, Mapping):
        problem = "no settings of the model (Config.distiller), so that nothing says how its weights are used"
        raise DaisyError(problem, fix="Use the checkpoint that s3prl's pre-training saved")
    return dict(found)


FORMAT = Format("s3prl", _recognise, _read)
