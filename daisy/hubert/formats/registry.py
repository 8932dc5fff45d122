"""The formats, in the order in which they are tried: a path to its content, and a content to a path."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from daisy.errors import DaisyError
from daisy.hubert.formats import fairseq, published, safetensors, torchaudio, transformers
from daisy.hubert.formats.checks import fitting, sound
from daisy.hubert.formats.content import Content
from daisy.hubert.formats.source import open_source

FORMATS = (
    safetensors.FORMAT,
    published.FORMAT,
    fairseq.FORMAT,
    transformers.FORMAT,
    torchaudio.FORMAT,
)
"""Those with an own mark before those that their weights' names alone tell."""

WRITERS = {form.name: form.write for form in FORMATS if form.write is not None}
"""By format."""


def read(path: Path) -> tuple[str, Content]:
    """The format's name and the content of a file or folder, weights as float32 on the CPU.

    Raises:
        DaisyError: if it is missing, damaged, of no known format, not safe to read, or lacks weights.
    """
    source = open_source(path)
    form = next((form for form in FORMATS if form.recognise(source)), None)
    if form is None:
        names = ", ".join(sorted(form.name for form in FORMATS))
        raise DaisyError("no known checkpoint format", file=path, fix=f"Use one of these formats: {names}")
    with fitting(path):
        content = form.read(source)
        state = form.rename(sound(content.state), content.shape)
    return form.name, dataclasses.replace(content, state=state)


def write(path: Path, content: Content, format: str) -> None:
    """Write a content in a format, by name.

    Raises:
        DaisyError: if the format is unknown or only read, or the content lacks what it needs.
    """
    if format not in WRITERS:
        raise DaisyError(f"the format {format!r} cannot be written", fix=f"Use {', '.join(sorted(WRITERS))}")
    WRITERS[format](path, content)
