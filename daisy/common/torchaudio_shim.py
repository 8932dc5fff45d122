"""Import torchaudio where its native extension cannot be loaded.

The published torchaudio wheels are linked against CUDA, so that beside a CPU build of torch
`import torchaudio` raises OSError. All that is used here (resampling, MFCC, SpecAugment, edit
distance) is written in Python. If, and only if, the import fails in that way, an inert stand-in takes
the extension's place; on a GPU machine torchaudio is used as it is.

Use ``from daisy.common.torchaudio_shim import torchaudio``.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any


def _unavailable(*_args: Any, **_keywords: Any) -> None:
    raise RuntimeError("torchaudio's native extension cannot be loaded beside this build of torch")


def _stub() -> types.ModuleType:
    stub = types.ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    stub._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    stub._check_cuda_version = lambda: None  # type: ignore[attr-defined]
    # torchaudio decorates its native functions with this: they then fail when called, not before.
    stub.fail_if_no_align = lambda function: functools.wraps(function)(_unavailable)  # type: ignore[attr-defined]
    return stub


try:
    import torchaudio
except OSError:
    for _name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[_name]
    sys.modules["torchaudio._extension"] = _stub()
    import torchaudio

__all__ = ["torchaudio"]
