"""How many layers a checkpoint has, where its header tells; the weights stay unread, and torch unimported."""

from __future__ import annotations

import json
import struct
from pathlib import Path

_LONGEST_HEADER = 100_000_000


def layers_of(path: Path) -> int | None:
    """K of daisy's safetensors or of a transformers folder; None where only the weights could tell."""
    try:
        if path.is_dir():
            return int(json.loads((path / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"])
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                return None  # no safetensors
            header = json.loads(file.read(length))
        return int(json.loads(header["__metadata__"]["fairseq_config"])["model"]["encoder_layers"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
