"""How many samples a checkpoint's frames are apart, where its header tells; torch stays unimported."""

from __future__ import annotations

import json
import math
import pickletools
import struct
import zipfile
from pathlib import Path

from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig, parse_conv_layers

HOP = HubertConfig().hop
"""Of every HuBERT that is published, and so of files that do not tell: 320 samples, which are 20 ms."""

_LONGEST_HEADER = 100_000_000
_KEY = "conv_feature_layers"


def hop_of(path: Path) -> int:
    """The hop of a HuBERT in daisy's safetensors, a transformers folder, or a file of torch's with a config.

    `HOP` where only the weights could tell; the stages that load them compare.
    """
    try:
        if path.is_dir():
            strides = json.loads((path / "config.json").read_text(encoding="utf-8"))["conv_stride"]
            return math.prod(int(stride) for stride in strides)
        text = _of_torch(path) if zipfile.is_zipfile(path) else _of_safetensors(path)
        return math.prod(stride for _, _, stride in parse_conv_layers(text))
    except (OSError, ValueError, KeyError, TypeError, StopIteration, struct.error, zipfile.BadZipFile, DaisyError):
        return HOP


def _of_safetensors(path: Path) -> str:
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LONGEST_HEADER:
            raise ValueError("no safetensors")
        header = json.loads(file.read(length))
    text: str = json.loads(header["__metadata__"]["fairseq_config"])["model"][_KEY]
    return text


def _of_torch(path: Path) -> str:
    """The first description of convolutions that follows its key in the pickle of a torch file, which is never run."""
    with zipfile.ZipFile(path) as file:
        content = file.read(next(name for name in file.namelist() if name.endswith("/data.pkl")))
    texts = (str(value) for operation, value, _ in pickletools.genops(content) if "UNICODE" in operation.name)
    while next(texts) != _KEY:
        pass
    return next(text for text in texts if text.lstrip().startswith("["))
