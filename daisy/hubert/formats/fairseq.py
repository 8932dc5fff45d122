"""fairseq's checkpoint, as its trainer saves it, of pre-training or of a CTC fine-tuning; read, and not written.

A torch file whose ``model`` is a state dict, under the names that the project uses as well. The configuration
is ``cfg`` (plain, or OmegaConf's containers) or, in older files, ``args``; a fine-tuned model has the encoder's in
``w2v_args``, and the encoder's weights behind a prefix. WavLM's own files, which its authors' code writes, are the same
but for ``cfg``, in which the model's settings stand by themselves, `normalize` among them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.formats import fields, kinds
from daisy.hubert.formats.content import Content, Format
from daisy.hubert.formats.inert import held
from daisy.hubert.formats.renaming import behind_prefix
from daisy.hubert.formats.source import Source

FIRST = "feature_extractor.conv_layers.0.0.weight"
"""The weight that every encoder under fairseq's names has, and no other program's."""

NAMES = (None, "hubert", "wav2vec2", "data2vec_audio", "wavlm")
"""What fairseq calls models of this encoder, and what a WavLM is called here, whose own configuration has no name."""

_ABOUT = ("hubert_ctc", "wav2vec_ctc")
"""What it calls models around one."""


def _recognise(source: Source) -> bool:
    content = source.content
    return (
        source.kind == "torch"
        and isinstance(content, Mapping)
        and isinstance(content.get("model"), Mapping)
        and ("cfg" in content or "args" in content or any(str(name).endswith(FIRST) for name in content["model"]))
    )


def _read(source: Source) -> Content:
    config = _encoder(_configuration(source.content))
    return Content(encoder_weights(source.content["model"]), config)


def encoder_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict's weights without a prefix, and without the teacher that data2vec keeps in it."""
    kept = {name: value for name, value in state.items() if name != "_ema"}
    return behind_prefix(kept, FIRST)


def _configuration(content: Mapping[str, Any]) -> dict[str, Any]:
    config = _resolved(held(content.get("cfg")))
    if isinstance(config, Mapping) and isinstance(config.get("model"), Mapping):
        return {key: dict(config.get(key) or {}) for key in ("model", "task", "training")}
    if isinstance(config, Mapping) and "encoder_layers" in config:
        named = {"_name": "wavlm"} if config.get("relative_position_embedding") else {}
        return {"model": {**named, **config}, "task": {"normalize": config.get("normalize", False)}}
    args = content.get("args")
    if isinstance(args, (Mapping, argparse.Namespace)):
        return _of_arguments(held(dict(args) if isinstance(args, Mapping) else vars(args)))
    raise DaisyError(
        "no model configuration (cfg or args), so that nothing says how its weights are used",
        fix="Use the fairseq checkpoint that these weights come from",
    )


def _of_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """The two parts of a configuration that has all options of a training in one."""
    task = {name: value for name, value in values.items() if name in fields.TASK.names}
    others = (fields.TASK.names | fields.TRAINER) - fields.FAIRSEQ.names | {"_name"}
    model = {name: value for name, value in values.items() if name not in others}
    arch = str(values.get("arch") or "hubert")  # hubert_base, wav2vec2_large, wav2vec_ctc, ...
    known = next((name for name in (*_ABOUT, "hubert", "wav2vec2") if arch.startswith(name)), arch)
    return {"model": {"_name": known, **model}, "task": task}


def _encoder(config: dict[str, Any]) -> dict[str, Any]:
    """The encoder's own configuration.

    Raises:
        DaisyError: if the model is of another kind.
    """
    model = config["model"]
    inner, name = model.get("w2v_args"), model.get("_name")
    if isinstance(inner, argparse.Namespace):
        inner = _of_arguments(vars(inner))
    if isinstance(inner, Mapping) and isinstance(inner.get("model"), Mapping) and name not in NAMES:
        if name not in _ABOUT:
            raise kinds.not_known(kinds.named(str(name)) or f"a fairseq model of the kind {name!r}")
        return _encoder({"model": dict(inner["model"]), "task": dict(inner.get("task") or config["task"])})
    if name in _ABOUT:
        raise DaisyError(
            f"a fine-tuned model ({name}) without w2v_args, the configuration of the encoder inside",
            fix="Use the pre-training checkpoint that it was made from",
        )
    if name not in NAMES:
        raise kinds.not_known(kinds.named(str(name)) or f"a fairseq model of the kind {name!r}")
    if str(model.get("layer_type", "transformer")) == "conformer":
        raise kinds.not_known("a conformer (layer_type)")
    if model.get("conv_pos_batch_norm"):
        raise kinds.not_known("a HuBERT with batch norm before its positional convolution (conv_pos_batch_norm)")
    return config


def _resolved(config: Any) -> Any:
    """A configuration with references like ``${task.normalize}`` replaced by what they refer to."""
    if not isinstance(config, Mapping):
        return config

    def value(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: value(inner) for key, inner in item.items()}
        match = re.fullmatch(r"\$\{([\w.]+)\}", item) if isinstance(item, str) else None
        if not match:
            return item
        found: Any = config
        for part in match[1].split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return item if isinstance(found, str) and "${" in found else found

    return value(config)


FORMAT = Format("fairseq", _recognise, _read)
