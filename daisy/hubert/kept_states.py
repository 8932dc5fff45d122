"""The hidden states of a batch, gathered layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from daisy.hubert.packing import Packing, Windowed, sent
from daisy.hubert.products import as_a_whole


class KeptStates:
    """The states of the utterances of a batch, from which some may leave on the way.

    On a CPU an utterance's states are put together when it is done. On a GPU many small copies take longer than their
    bytes: there each state is written once, into one tensor of which an utterance gets its part. So it is with long
    recordings everywhere, whose states must not be in memory twice; what is not written is zero there, and of memory
    takes none.

    Args:
        packing: The whole batch.
        states: How many states there may be.
        latest: Whether only the latest state of each utterance is wanted.
    """

    def __init__(self, packing: Packing, states: int, latest: bool = False) -> None:
        self._bounds = np.cumsum([0, *packing.lengths])
        self._active: Sequence[int] = range(len(packing.lengths))
        self._parts: list[list[Tensor]] = [[] for _ in packing.lengths]
        self._latest = latest
        self._most, self._count = 1 if latest else states, 0
        self._whole: Tensor | None = None
        self._rows: Tensor | None = None

    def add(self, h: Tensor, packing: Packing) -> None:
        """Take the next state of those who are left: h (R, D), in the precision of the first one."""
        if self._latest:
            self._count = 0
        if not as_a_whole(h.device) and not isinstance(packing, Windowed):
            for index, part in zip(self._active, packing.split(h), strict=True):
                self._parts[index][self._count :] = [part]
            self._count += 1
            return
        h = packing.joined(h)
        if self._whole is None:
            make = h.new_zeros if isinstance(packing, Windowed) else h.new_empty
            self._whole = make(self._most, *h.shape)
        if self._rows is None:
            self._whole[self._count].copy_(h)
        else:
            self._whole[self._count].index_copy_(0, self._rows, h.to(self._whole.dtype))
        self._count += 1

    def go_on(self, active: Sequence[int]) -> None:
        """From now on only these utterances have states."""
        self._active = active
        if self._whole is not None:
            rows = [np.arange(self._bounds[index], self._bounds[index + 1]) for index in active]
            self._rows = sent(np.concatenate(rows), self._whole.device)

    def of(self, index: int) -> Tensor:
        """What utterance `index`, which is among those who are left, has so far: (states, T, D)."""
        if self._whole is None:
            return torch.stack(self._parts[index])
        return self.across(range(index, index + 1), self._count)

    def across(self, indices: range, count: int) -> Tensor:
        """The first states of utterances that follow one another, one behind the other: (count, T, D).

        They are of a batch that has long recordings; states that an utterance did not reach are zero.
        """
        assert self._whole is not None
        return self._whole[:count, self._bounds[indices.start] : self._bounds[indices.stop]]
