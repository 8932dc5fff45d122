"""Tensors on their way to a device and back: on a GPU through pinned memory, on streams of their own beside what it
computes; on a CPU as they are.

A pinned buffer may be let go of at once: torch's allocator of pinned memory gives it away again only when the copies
that were begun from it are done.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

CPU = torch.device("cpu")


def reading(device: torch.device) -> tuple[int, int]:
    """How many threads read ahead for a device, and how far: the arguments of `daisy.common.ahead.ahead`.

    A GPU has as many as the stage has threads, at least two. A CPU computes with those, so that one more is enough.
    """
    readers = max(2, torch.get_num_threads()) if device.type == "cuda" else 1
    return readers, readers


def located(device: torch.device) -> torch.device:
    """The device with its number: another thread's current GPU need not be this one's."""
    return torch.empty(0, device=device).device


def buffer(shape: Sequence[int], kind: torch.dtype, device: torch.device) -> Tensor:
    """An empty tensor on the CPU from which a copy to `device`, or to which a copy from it, needs nobody to wait."""
    return torch.empty(tuple(shape), dtype=kind, pin_memory=device.type == "cuda")


@functools.cache
def _stream(device: torch.device, name: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def handed(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, for what is too little to be worth reading ahead: a GPU gets it while it computes.

    A copy that is not from pinned memory would make the CPU wait until the GPU has done all that it was given before.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Sent:
    """Tensors of one kind on their way from the CPU to a device, in one copy. Any thread may send and receive.

    Args:
        tensors: On the CPU; they must not change any more.
        device: Where to, with its number.
    """

    def __init__(self, tensors: Sequence[Tensor], device: torch.device) -> None:
        self._shapes = [item.shape for item in tensors]
        self._tensors: list[Tensor] | None = None
        if device.type != "cuda":
            self._tensors = list(tensors)
            return
        with torch.cuda.device(device), torch.cuda.stream(_stream(device, "in")):
            self._flat = _pinned(tensors, device).to(device, non_blocking=True)
            self._copied = torch.cuda.current_stream(device).record_event()

    def arrived(self) -> list[Tensor]:
        """The tensors on the device, as parts of one; what is computed from now on in this thread comes after them."""
        if self._tensors is not None:
            return self._tensors
        stream = torch.cuda.current_stream(self._flat.device)
        stream.wait_event(self._copied)
        self._flat.record_stream(stream)
        return _apart(self._flat, self._shapes)


def _apart(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    parts = flat.split([shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _pinned(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """One below the other in one pinned buffer, which a single one may be in already."""
    if len(tensors) == 1 and tensors[0].is_pinned():
        return tensors[0].flatten()
    flat = buffer([sum(item.numel() for item in tensors)], tensors[0].dtype, device)
    # By NumPy, since torch would start threads for the copy beside each of those that read.
    np.concatenate([item.numpy().ravel() for item in tensors], out=flat.numpy())
    return flat


class Fetched:
    """Tensors on their way from a device to the CPU, in one copy that nobody waits for until they are needed.

    Args:
        tensors: Of one kind. Nothing may be written into them any more.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors: list[Tensor] | None = None
        self._shapes = [item.shape for item in tensors]
        device = tensors[0].device
        if device.type != "cuda":
            self._tensors = list(tensors)
            return
        joined = tensors[0].flatten() if len(tensors) == 1 else torch.cat([item.flatten() for item in tensors])
        self._host = buffer(joined.shape, joined.dtype, device)
        stream = _stream(device, "out")
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            self._host.copy_(joined, non_blocking=True)
            self._copied = stream.record_event()
        joined.record_stream(stream)

    def arrived(self) -> list[Tensor]:
        """The tensors on the CPU, waited for in whichever thread asks."""
        if self._tensors is not None:
            return self._tensors
        self._copied.synchronize()
        return _apart(self._host, self._shapes)
