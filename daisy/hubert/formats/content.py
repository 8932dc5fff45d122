"""What every format is read into and written from, and what every format tells of itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from daisy.hubert.config import HubertConfig, flag, from_fairseq
from daisy.hubert.formats.source import Source

EXTRAS_KEY = "daisy"
"""The key of what no other program knows: in safetensors' header and in the published format."""

HEAD = ("label_embs_concat", "final_proj.weight", "final_proj.bias", "target_glu.0.weight", "target_glu.0.bias")
"""The weights of the pre-training head; the last two only where the model was trained with `target_glu`."""


@dataclasses.dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        state: The weights under the project's own names, which are fairseq's: those of the encoder and, if
            the file has them, `HEAD`, the branches' ``final_proj.0.weight`` and so on, and ``mask_emb``. Tensors, or
            outlines where only the header was read.
        config: fairseq's configuration as plain types: ``model`` and ``task``, perhaps ``training``.
        symbols: One symbol per class of the branches, if the file names them.
        calibrations: By task, as `daisy.exits.calibration` writes and reads them.
    """

    state: dict[str, Any]
    config: dict[str, Any]
    symbols: list[str] | None = None
    calibrations: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> HubertConfig:
        """The encoder's shape, by the configuration."""
        return from_fairseq(self.config["model"], normalize=flag(self.config["task"], "normalize"))

    @property
    def has_head(self) -> bool:
        """Whether the pre-training head is there."""
        names = ("label_embs_concat", "final_proj.weight", "final_proj.bias")
        return all(name in self.state for name in names)

    def extras(self) -> dict[str, Any]:
        """What no other program knows, as far as it is there."""
        extras = {"symbols": self.symbols, "calibrations": self.calibrations or None}
        return {key: value for key, value in extras.items() if value is not None}


def same_names(state: Mapping[str, Any], shape: HubertConfig) -> dict[str, Any]:
    """The renaming of a format that uses the project's own names."""
    return dict(state)


@dataclasses.dataclass(frozen=True)
class Format:
    """All that reading needs of a format; it works on tensors and, without torch, on their outlines.

    Attributes:
        name: What users call it.
        recognise: Whether a source has this format; told by its content.
        read: The content of such a source, the weights still as the file has them.
        rename: Weights under the file's names to the project's own names; what no part of the project needs
            is left out. Raises KeyError with the file's name of a weight that is missing.
    """

    name: str
    recognise: Callable[[Source], bool]
    read: Callable[[Source], Content]
    rename: Callable[[Mapping[str, Any], HubertConfig], dict[str, Any]] = same_names


def beside_encoder(name: str) -> bool:
    """Whether a weight, by its own name, is one of the branches or of the pre-training head."""
    return name.startswith("final_proj.") or name in HEAD


def layer_count(names: Mapping[str, Any], prefix: str) -> int:
    """How many numbered parts the names have, ``<prefix>0.``, ``<prefix>1.`` and so on."""
    numbers = {int(match[1]) for name in names if (match := re.match(re.escape(prefix) + r"(\d{1,6})\.", name))}
    return max(numbers, default=-1) + 1


def plain(value: Any) -> Any:
    """`value` with everything but plain types turned into plain types, as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
