"""Where things are computed, and how precisely: on a GPU where there is one, in bfloat16 where the config says so."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Literal

import torch

from daisy.errors import DaisyError


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
        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise DaisyError("compute.device is cuda, but torch finds no GPU", fix="Set it to auto, or run elsewhere")
        return torch.device("cuda" if there and self.device != "cpu" else "cpu")

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """The context in which forward passes run."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.place().type, torch.bfloat16)
