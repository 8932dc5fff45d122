"""Where things are computed, and how precisely: on a GPU where there is one, in bfloat16 where the config says so.

The workflow writes it into settings while parsing, so torch is imported only where something is computed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from daisy.errors import DaisyError

if TYPE_CHECKING:
    import torch

BATCH = "upstream.batch_seconds"
"""The setting that decides how much memory a pass of the frozen model takes."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Attributes:
        device: ``auto`` is a GPU if there is one.
        precision: ``bfloat16`` is torch's automatic mixed precision: matrix products and convolutions in bfloat16,
            sums, norms and losses in float32. It needs no scaling of gradients.
    """

    device: Literal["auto", "cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"

    def place(self) -> torch.device:
        """The device; of several processes on one machine each has its own GPU.

        Raises:
            DaisyError: if a GPU is asked for and there is none.
        """
        import torch

        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise DaisyError("compute.device is cuda, but torch finds no GPU", fix="Set it to auto, or run elsewhere")
        return torch.device("cuda" if there and self.device != "cpu" else "cpu")

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """The context in which forward passes run."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        import torch

        return torch.autocast(self.place().type, torch.bfloat16)


@contextlib.contextmanager
def memory(where: str, setting: str) -> Iterator[None]:
    """Turn a failed allocation, of a GPU or of the machine, into an error that names the setting.

    Args:
        where: What was computed.
        setting: What to lower.

    Raises:
        DaisyError: in its place.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        import torch

        text = " ".join(str(error).split())
        scarce = ("out of memory", "can't allocate memory", "not enough memory")
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(word in text.lower() for word in scarce)
        if not known:
            raise
        raise DaisyError(
            f"out of memory at {where} ({text[:120]})",
            fix=f"Lower {setting}; what was saved before is kept, and the next run goes on from it",
        ) from None
