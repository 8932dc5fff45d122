"""The formats, in the order in which they are tried, and a path's content without torch and without its tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError
from daisy.hubert.formats import (
    complete,
    fairseq,
    fields,
    kinds,
    published,
    renaming,
    s3prl,
    safetensors,
    torchaudio,
    transformers,
)
from daisy.hubert.formats.checks import fitting
from daisy.hubert.formats.content import Content, Format
from daisy.hubert.formats.inert import Inert
from daisy.hubert.formats.source import OUTLINES, Opener, Source, open_source

FORMATS = (
    safetensors.FORMAT,
    published.FORMAT,
    s3prl.FORMAT,
    fairseq.FORMAT,
    transformers.FORMAT,
    torchaudio.FORMAT,
)
"""Those with an own mark before those that their weights' names alone tell."""


def outline(path: Path, heads: int | None = None) -> tuple[str, Content]:
    """The format's name and the content of a file or folder, with an `Outline` in place of every tensor.

    All is checked that needs no tensor: what passes here loads, if its numbers are whole.

    Args:
        path: A file or folder.
        heads: The number of attention heads, for a file that does not tell it.

    Raises:
        DaisyError: if it is missing, damaged, of no known format, not safe to read, of a model that is no HuBERT, has
            settings that are not known, or lacks weights.
    """
    form, content = parse(path, OUTLINES, heads)
    with fitting(path):
        fields.FAIRSEQ.check(content.config["model"])
        fields.TASK.check(content.config["task"])
        shape = content.shape
        if heads and heads != shape.heads:
            raise DaisyError(
                f"{heads} attention heads were given, and its configuration says {shape.heads}",
                fix="Leave the number of heads out",
            )
        content = dataclasses.replace(content, state=form.rename(content.state, shape))
        complete.check_kinds(content.state)
        complete.check(content.state, shape)
    return form.name, content


def parse(path: Path, opener: Opener, heads: int | None = None) -> tuple[Format, Content]:
    """The format and the content of a file or folder, weights still under the file's names.

    Raises:
        DaisyError: as `outline` does.
    """
    with fitting(path):
        source = open_source(path, opener, heads)
        names = _names(source)
        form = next((form for form in FORMATS if form.recognise(source)), None)
        if form is None:
            raise _unknown(names)
        what = kinds.foreign_model(_of_encoder(names))
        if what:
            raise kinds.not_known(what)
        content = form.read(source)
        _check_weights(content.state)
        return form, content


def _check_weights(state: Any) -> None:
    """Check that what a format takes for weights are tensors by their names.

    Raises:
        DaisyError: if not.
    """
    fix = "Use a HuBERT or DAISY checkpoint"
    if not isinstance(state, Mapping) or not state:
        raise DaisyError(f"where its weights belong is {_shown(state)}", fix=fix)
    other = next((name for name, value in state.items() if not hasattr(value, "shape")), None)
    if other is not None:
        raise DaisyError(f"{other}, among its weights, is no tensor but {_shown(state[other])}", fix=fix)


def _shown(value: Any) -> str:
    if isinstance(value, Inert):
        return "something else of torch or numpy"
    return f"an object of the kind {type(value).__name__}" if value else "nothing"


def _names(source: Source) -> list[str]:
    """The names of all weights that a file may hold."""
    content = source.content if isinstance(source.content, dict) else {}
    parts = [source.weights, content.get("model"), content.get("model_weight"), content]
    return [str(name) for part in parts if isinstance(part, dict) for name in part]


def _of_encoder(names: list[str]) -> list[str]:
    """Those of the names that are the encoder's, in a larger model."""
    for first in (fairseq.FIRST, renaming.FIRST):
        prefix = next((name.removesuffix(first) for name in names if name.endswith(first)), None)
        if prefix is not None:
            return [name for name in names if name.startswith(prefix)]
    return names


def _unknown(names: list[str]) -> DaisyError:
    """What a file is that no format knows, as far as its names tell."""
    what = kinds.foreign_model(names)
    if what:
        return kinds.not_known(what)
    if any(name.endswith(fairseq.FIRST) for name in names):
        return DaisyError(
            "fairseq's weights without their configuration, so that nothing says how they are used",
            fix="Use the fairseq checkpoint that they come from",
        )
    known = ", ".join(sorted(form.name for form in FORMATS))
    found = (
        f"it holds {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}" if names else "it holds no weights"
    )
    return DaisyError(f"no known checkpoint format: {found}", fix=f"Use one of these formats: {known}")
