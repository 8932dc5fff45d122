"""A batch without padding: the valid frames of all utterances, one below the other.

Shape suffixes: B utterances, T frames of the longest, R frames of all together.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from daisy.common.progress import Progress
from daisy.common.transfer import handed
from daisy.hubert.attention import attention, biased, packed_kernel
from daisy.hubert.products import as_a_whole
from daisy.hubert.relative import Gated, RelativePositions
from daisy.hubert.windows import Window

ROWS = 8192
"""Frames of windows that pass a layer at once, or one window: what is between its products takes no more room."""


def sent(values: np.ndarray | Sequence[int], device: torch.device, kind: torch.dtype = torch.int64) -> Tensor:
    """Whole numbers on a device. A GPU gets them while it computes, and nobody waits for it."""
    return handed(torch.as_tensor(values, dtype=kind), device)


class Packing:
    """Where the frames of each utterance lie among the packed ones.

    Args:
        lengths: Frames of each utterance.
        device: Where the frames are.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths, self.device = list(lengths), device
        self._strip: Tensor | None = None

    @property
    def even(self) -> bool:
        """Whether all utterances have the same length, so that packed and padded frames are the same."""
        return len(set(self.lengths)) == 1

    @functools.cached_property
    def mask(self) -> Tensor:
        """(B, T), true where a padded batch holds a frame."""
        return torch.arange(max(self.lengths), device=self.device)[None] < self._counts[:, None]

    @functools.cached_property
    def _counts(self) -> Tensor:
        """(B,) frames of each utterance."""
        return sent(self.lengths, self.device)

    @functools.cached_property
    def bounds(self) -> Tensor:
        """(B + 1,) where each utterance begins among the packed frames, and where the last one ends."""
        return sent(np.cumsum([0, *self.lengths]), self.device, torch.int32)

    @functools.cached_property
    def _places(self) -> Tensor:
        """(R,) places of the frames among the B x T of a padded batch."""
        longest = max(self.lengths)
        rows = [np.arange(length) + number * longest for number, length in enumerate(self.lengths)]
        return sent(np.concatenate(rows), self.device)

    def split(self, x: Tensor) -> list[Tensor]:
        """(R, ...) to one (T, ...) per utterance."""
        return list(x.split(self.lengths))

    def joined(self, x: Tensor) -> Tensor:
        """(R, ...) to every utterance's frames, each of them once, one utterance below the other."""
        return x

    def only(self, chosen: Sequence[int], *given: Tensor) -> tuple[Packing, list[Tensor]]:
        """The packing of some of the utterances, and their rows of what is `given`, each (R, ...)."""
        parts = [self.split(x) for x in given]
        packing = Packing([self.lengths[row] for row in chosen], self.device)
        return packing, [torch.cat([part[row] for row in chosen]) for part in parts]

    def pad(self, x: Tensor) -> Tensor:
        """(R, ...) to (B, T, ...), zero where there is no frame."""
        shape = len(self.lengths), max(self.lengths)
        if self.even:
            return x.unflatten(0, shape)
        padded = x.new_zeros(shape[0] * shape[1], *x.shape[1:])
        padded[self._places] = x
        return padded.unflatten(0, shape)

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, ...) to (R, ...)."""
        return x.flatten(0, 1) if self.even else x.flatten(0, 1)[self._places]

    def means(self, x: Tensor) -> Tensor:
        """(R,) to (B,): the mean over each utterance's frames."""
        return self.pad(x).sum(1) / self._counts

    def attention(self, q: Tensor, k: Tensor, v: Tensor, gated: Gated | None = None) -> Tensor:
        """Every frame's attention over its own utterance: (R, heads, width) thrice to the same.

        On a CPU utterance by utterance, which wastes nothing; on a GPU in one call, by a kernel for packed frames where
        torch has one, and on a padded batch elsewhere, as where the distance of frames counts (`gated`).
        """
        if gated is not None:
            return self._gated(q, k, v, gated)
        kernel = packed_kernel(q)
        if kernel is not None:
            return kernel(q, k, v, self.bounds, max(self.lengths))
        if not self.even and not as_a_whole(q.device) and q.device.type == "cpu":
            parts = zip(*(self.split(x) for x in (q, k, v)), strict=True)
            return torch.cat([attention(*(x[None] for x in part))[0] for part in parts])
        return self.pack(self.attention_padded(q, k, v))

    def strip(self, positions: RelativePositions) -> Tensor:
        """(heads, 2 T - 1): the numbers of all distances between frames, which all layers share."""
        if self._strip is None:
            self._strip = positions.strip(max(self.lengths))
        return self._strip

    def _gated(self, q: Tensor, k: Tensor, v: Tensor, gated: Gated) -> Tensor:
        strip = self.strip(gated.positions)
        if not self.even and not as_a_whole(q.device) and q.device.type == "cpu":
            parts = zip(*map(self.split, (q, k, v, gated.gate)), strict=True)
            return torch.cat([biased(q[None], k[None], v[None], gate[None], strip)[0] for q, k, v, gate in parts])
        mask = None if self.even else self.mask[:, None, None]
        return self.pack(biased(self.pad(q), self.pad(k), self.pad(v), self.pad(gated.gate), strip, mask))

    def attention_padded(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`attention` in one call: (R, heads, width) thrice to (B, T, heads, width)."""
        mask = None if self.even else self.mask[:, None, None]
        return attention(self.pad(q), self.pad(k), self.pad(v), mask)


class Windowed(Packing):
    """Where the frames of a batch lie that has long recordings: one window below the other, utterance after utterance.

    A frame of two windows has a row in both. What an utterance gets, it gets of each frame once.

    Args:
        windows: Those of each utterance; of a short one a single one with all its frames.
        device: Where the frames are.
        progress: Is told the windows that have passed a layer.
    """

    def __init__(self, windows: Sequence[Sequence[Window]], device: torch.device, progress: Progress) -> None:
        super().__init__([sum(one.end - one.begin for one in own) for own in windows], device)
        self.windows, self.progress = windows, progress

    def spread(self, states: Sequence[Tensor]) -> Tensor:
        """Every utterance's (T, ...) to the rows of all windows."""
        pairs = zip(states, self.windows, strict=True)
        return torch.cat([part[one.start : one.start + one.size] for part, own in pairs for one in own])

    def split(self, x: Tensor) -> list[Tensor]:
        """Rows (R, ...) to one (T, ...) per utterance, its windows joined."""
        parts = iter(x.split([one.size for own in self.windows for one in own]))
        taken = [[next(parts)[one.begin - one.start : one.end - one.start] for one in own] for own in self.windows]
        return [own[0] if len(own) == 1 else torch.cat(own) for own in taken]

    def joined(self, x: Tensor) -> Tensor:
        """Rows (R, ...) to every utterance's frames, each of them once, one utterance below the other."""
        return torch.cat(self.split(x))

    def means(self, x: Tensor) -> Tensor:
        """Rows (R,) to (B,): the mean over each utterance's frames."""
        return torch.stack([part.mean() for part in self.split(x)])

    def apart(self) -> Windowed:
        """The same rows, every window an utterance of its own."""
        return Windowed([[one] for own in self.windows for one in own], self.device, self.progress)

    def only(self, chosen: Sequence[int], *given: Tensor) -> tuple[Packing, list[Tensor]]:
        """The packing of some of the utterances, and their rows of what is `given`, each (R, ...)."""
        sizes = [sum(one.size for one in own) for own in self.windows]
        parts = [x.split(sizes) for x in given]
        packing = Windowed([self.windows[row] for row in chosen], self.device, self.progress)
        return packing, [torch.cat([part[row] for row in chosen]) for part in parts]

    @functools.cached_property
    def _groups(self) -> list[Packing]:
        """Windows that pass a layer together."""
        groups: list[list[int]] = []
        for size in (one.size for own in self.windows for one in own):
            if groups and sum(groups[-1]) + size <= ROWS:
                groups[-1].append(size)
            else:
                groups.append([size])
        return [Packing(sizes, self.device) for sizes in groups]

    def through(self, run: Callable[[Tensor, Packing], tuple[Tensor, ...]], x: Tensor) -> tuple[Tensor, ...]:
        """What `run` makes of rows (R, ...), of a few windows at a time: tensors of as many rows."""
        made: list[Tensor] = []
        for rows, group in self._parts():
            some = run(x[rows], group)
            made = made or [item.new_empty(len(x), *item.shape[1:]) for item in some]
            for whole, item in zip(made, some, strict=True):
                whole[rows] = item
            self.progress.add(len(group.lengths))
        return tuple(made)

    def _parts(self) -> Iterator[tuple[slice, Packing]]:
        end = 0
        for group in self._groups:
            begin, end = end, end + sum(group.lengths)
            yield slice(begin, end), group


@dataclasses.dataclass
class Frames:
    """A batch of frame sequences.

    Attributes:
        states: (R, D).
        packing: Whose they are.
        alone: Whether every utterance gets what it gets alone, and not what it gets in a padded batch.
    """

    states: Tensor
    packing: Packing
    alone: bool = True

    @property
    def lengths(self) -> list[int]:
        """Frames of each utterance."""
        return self.packing.lengths

    def split(self) -> list[Tensor]:
        """One (T, D) per utterance."""
        return self.packing.split(self.states)
