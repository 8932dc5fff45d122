"""DAISY: data-adaptive self-supervised early exit for speech models (Lin, Lee, Tang; Interspeech 2024).

`daisy.load` reads a checkpoint and gives a model; see `daisy.library.model`. Nothing heavy is imported before
it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daisy.library.model import Daisy, Output, load

__version__ = "0.1.0"
__all__ = ["Daisy", "Output", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in ("Daisy", "Output", "load"):
        from daisy.library import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
