"""Where things are computed, and how precisely: on a GPU where there is one, in bfloat16 or TF32 if the config says so.

The workflow writes it into settings while parsing, so torch is imported only where something is computed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from daisy.common import gpus
from daisy.common.spent import note
from daisy.errors import DaisyError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = "upstream.batch_seconds"
"""The setting that decides how much memory a pass of the frozen model takes."""


Precision = Literal["float32", "tf32", "bfloat16"]

CUBLAS = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What cuBLAS is told before its first product if its sums, and cuDNN's in an LSTM, are always to be the same."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Attributes:
        device: ``auto`` is a GPU if there is one.
        precision: ``float32`` is float32 on a GPU too: torch by itself lets convolutions and LSTMs round there to the
            10 bits of TF32. ``tf32`` lets those and products of matrices do so; sums, norms and what is kept are
            float32, and on a CPU it is float32. ``bfloat16`` is torch's automatic mixed precision: matrix products and
            convolutions in bfloat16, sums, norms and losses in float32, and on a GPU LSTMs, which torch would compute
            in float16. It needs no scaling of gradients.
        deterministic: Whether a GPU gives the same numbers every time, at the price of slower kernels; a CPU does
            anyway.
    """

    device: Literal["auto", "cpu", "cuda"] = "cpu"
    precision: Precision = "float32"
    deterministic: bool = False

    def place(self) -> torch.device:
        """The device, made ready; of several processes on one machine each has its own GPU, see `daisy.common.gpus`.

        It waits until a GPU is free, and decides how torch computes there in the whole process, so it comes before CUDA
        is asked for anything.

        Raises:
            DaisyError: if a GPU is asked for and there is none.
        """
        import torch

        if self.device != "cpu" and torch.backends.cuda.is_built() and not torch.cuda.is_initialized():
            gpus.take()
        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise DaisyError("compute.device is cuda, but torch finds no GPU", fix="Set it to auto, or run elsewhere")
        if not there and self.device == "auto":
            _tell_of_unused()
        if not there or self.device == "cpu":
            note("device", "cpu")
            return torch.device("cpu")
        note("device", torch.cuda.get_device_name())
        allow_tf32(self.precision == "tf32")
        if self.deterministic:
            be_deterministic()
        return torch.device("cuda")

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """The context in which forward passes run."""
        if self.precision != "bfloat16":
            return contextlib.nullcontext()
        import torch

        return torch.autocast(self.place().type, torch.bfloat16)

    @property
    def dtype(self) -> torch.dtype:
        """What the results of products are kept in; TF32 rounds what goes into them."""
        import torch

        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def effective(self) -> Compute:
        """The same without what makes no difference on its device, so that to change that runs nothing again."""
        if self.device != "cpu":
            return self
        precision: Precision = "float32" if self.precision == "tf32" else self.precision
        return dataclasses.replace(self, precision=precision, deterministic=False)


@functools.cache
def _tell_of_unused() -> None:
    """Say once that there are GPUs which torch cannot use; a process that looked does not ask the driver again."""
    import torch

    if count := len(gpus.visible()):
        print(
            f"GPU: {count} can be seen, but torch ({torch.__version__}) finds none: it is built without CUDA, or newer "
            "than the driver. Computing on the processor",
            file=sys.stderr,
            flush=True,
        )


def allow_tf32(allowed: bool) -> None:
    """Whether products, convolutions and LSTMs in float32 may round to TF32 on a GPU, in this process.

    torch has an old and a new way to say so since 2.9. It warns of the old one, and whoever asks by one way what was
    said by the other alone is refused (its compiler asks by the old one), so it is said in both.
    """
    import torch

    backends: Any = torch.backends  # whose parts torch's types do not know
    wanted = "tf32" if allowed else "ieee"
    kinds = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    if all(kind.fp32_precision == wanted for kind in kinds):
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TF32", category=UserWarning)
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = allowed
        for kind in kinds:
            kind.fp32_precision = wanted


def be_deterministic() -> None:
    """Let torch choose kernels that give the same numbers every time, in this process; where it has none it stops."""
    import torch

    for name, value in CUBLAS.items():
        os.environ.setdefault(name, value)
    torch.backends.cudnn.benchmark = False
    filling: Any = torch.utils.deterministic
    filling.fill_uninitialized_memory = False  # nothing here reads what it did not write
    torch.use_deterministic_algorithms(True)


def deterministic_gpu(tensor: Tensor) -> bool:
    """Whether what becomes of `tensor` must not use kernels of a GPU whose sums differ from time to time."""
    import torch

    return tensor.is_cuda and torch.are_deterministic_algorithms_enabled()


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
