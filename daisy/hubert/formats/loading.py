"""A path's content with its tensors: what `daisy.load` is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from daisy.hubert.formats.checks import fitting
from daisy.hubert.formats.content import Content
from daisy.hubert.formats.registry import outline, parse
from daisy.hubert.formats.tensors import TENSORS, sound


def read(path: Path, heads: int | None = None) -> tuple[str, Content]:
    """The format's name and the content of a file or folder, weights as float32 on the CPU.

    Its outline is read and checked first, so that a file that cannot be a HuBERT costs no time and no memory.

    Args:
        path: A file or folder.
        heads: The number of attention heads, for a file that does not tell it.

    Raises:
        DaisyError: if it is missing, damaged, of no known format, not safe to read, of a model that is no HuBERT, has
            settings that are not known, or lacks weights.
    """
    outline(path, heads)
    form, content = parse(path, TENSORS, heads)
    with fitting(path):
        state = sound(form.rename(sound(content.state), content.shape))
    return form.name, dataclasses.replace(content, state=state)
