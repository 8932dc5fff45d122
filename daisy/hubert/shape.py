"""What a checkpoint's header tells before any job runs; its weights stay unread, and torch unimported."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from daisy.errors import DaisyError
from daisy.hubert.formats.registry import outline


class Shape(NamedTuple):
    """K and D, and how far frames are apart.

    Attributes:
        layers: K, the transformer layers.
        dim: D, their width.
        hop: Samples from one frame to the next; 320, which are 20 ms, in every published HuBERT.
    """

    layers: int
    dim: int
    hop: int


def shape_of(path: Path, *, heads: int | None = None, head: bool = False) -> Shape:
    """The shape of a HuBERT, which is checked as far as that goes without its numbers: kind, settings, names, shapes.

    Args:
        path: A file or folder that `daisy.load` reads.
        heads: The number of attention heads, for a file that does not tell it.
        head: Whether it must have its pre-training head.

    Raises:
        DaisyError: if it cannot be loaded, or lacks the head.
    """
    _, content = outline(path, heads)
    if head and not content.has_head:
        raise DaisyError(
            "the checkpoint has no pre-training head",
            file=path,
            fix="Use fairseq's pre-training checkpoint, or targets.kind: kmeans",
        )
    return Shape(content.shape.layers, content.shape.dim, content.shape.hop)
