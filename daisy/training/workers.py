"""Several processes that train one model together, as torch's launcher starts them; alone, nothing here costs anything.

Every process sees the same batches in the same order and takes its part of each, so that the data that a step sees
do not depend on how many there are. Gradients are summed, weighted by what they are the mean of, so that the sum is
the gradient of the whole batch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

from daisy.common import gpus
from daisy.common.transfer import Fetched

Part = TypeVar("Part")


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes of a training.

    Attributes:
        rank: Which one this is, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes what all of them computed."""
        return self.rank == 0

    def share(self, batch: Sequence[int], accumulate: int) -> list[list[int]]:
        """This process's parts of a batch, each small enough for one pass; together they are the whole batch."""
        count = accumulate * self.size
        parts = [list(batch[place::count]) for place in range(count) if place % self.size == self.rank]
        return [part for part in parts if part]

    def backward(
        self,
        parts: Iterable[tuple[float, Part]],
        loss: Callable[[Part], tuple[Tensor, Tensor]],
        parameters: Iterable[Tensor],
    ) -> Tensor | None:
        """Add the gradient of a batch's loss to `parameters`, in parts; nothing waits for the device.

        Args:
            parts: This process's parts of the batch, see `share`, each with the share of the batch that its loss is
                the mean of: of the frames, or of the utterances.
            loss: The mean loss of a part, and further means (n,) that are only to be reported.
            parameters: What is trained.

        Returns:
            (1 + n,) float64 what these parts have of the batch's loss and further means, for `reading`; None without a
            part.
        """
        value, means = None, None
        for share, part in parts:
            mean, more = loss(part)
            (mean * share).backward()
            own, others = mean.detach().double() * share, more.detach() * share
            value = own if value is None else value + own
            means = others if means is None else means + others
        if self.size > 1:
            self._sum_gradients([item for item in parameters if item.requires_grad])
        return None if value is None or means is None else torch.cat([value[None], means.to(value)])

    def reading(self, own: Tensor | None, alike: Sequence[Tensor] = ()) -> Callable[[], list[float]]:
        """Send values that were computed on a device on their way, in one transfer.

        Args:
            own: (n,) values whose sums over the processes are wanted; None in one that has none.
            alike: Scalars that all processes have alike.

        Returns:
            What gives the n sums, and then the scalars. It waits for what was computed up to here, and for nothing that
            the device was given to do since; all processes call it in the same order.
        """
        scalars = [item.double().reshape(1) for item in alike]
        values = scalars if own is None else [own.double(), *scalars]
        sent = Fetched([torch.cat(values)]) if values else None

        def read() -> list[float]:
            numbers = sent.arrived()[0].tolist() if sent else []
            if self.size == 1:
                return numbers
            count = len(numbers) - len(alike)
            gathered: list[list[float]] = [[]] * self.size
            distributed.all_gather_object(gathered, numbers[:count])
            return [*map(sum, zip(*filter(None, gathered), strict=True)), *numbers[count:]]

        return read

    def _sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sum them over the processes, all in one tensor, of which they are parts from then on."""
        given = [torch.zeros_like(item) if item.grad is None else item.grad for item in parameters]
        flat = torch.cat([item.flatten() for item in given])
        distributed.all_reduce(flat)
        for item, part in zip(parameters, flat.split([item.numel() for item in parameters]), strict=True):
            item.grad = part.view_as(item)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        gathered = [False] * self.size
        distributed.all_gather_object(gathered, flag)
        return any(gathered)

    def gather(self, value: Tensor) -> list[Tensor]:
        """A tensor on the CPU of every process, in their order."""
        if self.size == 1:
            return [value]
        gathered: list[Tensor] = [value] * self.size
        distributed.all_gather_object(gathered, value)
        return gathered

    def end(self) -> None:
        """Wait for one another, and part."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def start_workers() -> Workers:
    """The processes that torch's launcher started, found in the environment; one alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Workers()
    rank, place = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    # One GPU is all that each of them sees, so that none of its threads can mean another's.
    gpus.part(place)
    if torch.cuda.is_available():
        torch.cuda.set_device(place % torch.cuda.device_count())
    # Objects and flags travel by gloo, gradients on a GPU by nccl.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Workers(rank, size)
