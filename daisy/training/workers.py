"""Several processes that train one model together, as torch's launcher starts them; alone, nothing here costs anything.

Every process sees the same batches in the same order and takes its part of each, so that the data that a step sees
do not depend on how many there are. Gradients are summed, weighted by what they are the mean of, so that the sum is
the gradient of the whole batch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, distributed


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
        batch: Sequence[int],
        accumulate: int,
        weigh: Callable[[Sequence[int]], float],
        loss: Callable[[list[int]], tuple[Tensor, Tensor]],
        parameters: Iterable[Tensor],
    ) -> tuple[float, Tensor]:
        """Add the gradient of a batch's loss to `parameters`, in parts.

        Args:
            batch: Indices of the utterances.
            accumulate: Parts per process.
            weigh: What a part's loss is the mean of: frames, or utterances.
            loss: The mean loss of a part, and further means that are only to be reported.
            parameters: What is trained.

        Returns:
            Loss and further means of the whole batch.
        """
        total = weigh(batch)
        value = torch.zeros((), dtype=torch.float64)
        means: Tensor | None = None
        for part in self.share(batch, accumulate):
            share = weigh(part) / total
            mean, more = loss(part)
            (mean * share).backward()
            value += mean.item() * share
            more = more.detach().cpu() * share
            means = more if means is None else means + more
        if self.size > 1:
            self._sum_gradients(parameters)
            means = self._summed(means)
            distributed.all_reduce(value)
        assert means is not None
        return float(value), means

    def _sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)

    def _summed(self, means: Tensor | None) -> Tensor:
        """The sum over processes; one whose part of the batch was empty has none."""
        gathered: list[Tensor | None] = [None] * self.size
        distributed.all_gather_object(gathered, means)
        given = [item for item in gathered if item is not None]
        return torch.stack(given).sum(0)

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
    rank = int(os.environ["RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Objects and flags travel by gloo, gradients on a GPU by nccl.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Workers(rank, size)
