"""Labels of frames as fairseq keeps them: ``.km`` and ``dict.km.txt``.

A ``.km`` file has one line per utterance in manifest order, ids separated by spaces; the dictionary beside it has one
``id count`` line per class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from daisy.common.files import write_text
from daisy.errors import DaisyError


def write_labels(path: Path, labels: Iterable[np.ndarray]) -> None:
    """Write a ``.km`` file: an utterance's labels are (T,) whole numbers."""
    write_text(path, "".join(" ".join(map(str, item)) + "\n" for item in labels))


def read_lines(path: Path, utterances: int) -> list[str]:
    """The lines of a ``.km`` file, as text.

    Args:
        path: The file.
        utterances: How many it must be of.

    Raises:
        DaisyError: if the file is missing, is no text, or is of another number of utterances.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DaisyError("the labels do not exist", file=path, fix="Run the labelling stage") from None
    except UnicodeDecodeError as error:
        raise DaisyError(f"not a label file ({error})", file=path, fix="Make the labels again") from None
    if len(lines) != utterances:
        raise DaisyError(
            f"labels of {len(lines)} utterances, but the manifest has {utterances} here",
            file=path,
            fix="Make the labels again from this manifest",
        )
    return lines


def read_labels(path: Path, frames: Sequence[int]) -> list[np.ndarray]:
    """Read a ``.km`` file: (T,) int64 per utterance.

    Args:
        path: The file.
        frames: How many labels each utterance must have.

    Raises:
        DaisyError: if the file is missing, damaged, or does not match `frames`.
    """
    try:
        labels = [np.array(line.split(), dtype=np.int64) for line in read_lines(path, len(frames))]
    except ValueError as error:
        raise DaisyError(f"not a label file ({error})", file=path, fix="Make the labels again") from None
    for line, (item, count) in enumerate(zip(labels, frames, strict=True), start=1):
        if len(item) != count:
            raise DaisyError(
                f"line {line} has {len(item)} labels for {count} frames",
                file=path,
                fix="Make the labels again from this manifest and model",
            )
    return labels


def write_dictionary(path: Path, counts: Iterable[int]) -> None:
    """Write how often every class occurs, from class 0 on."""
    write_text(path, "".join(f"{index} {count}\n" for index, count in enumerate(counts)))


def read_dictionary(path: Path) -> list[str]:
    """The ids of all classes.

    Raises:
        DaisyError: if the file is missing or damaged.
    """
    try:
        return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise DaisyError("the classes do not exist", file=path, fix="Run the stage of the targets") from None
    except (ValueError, IndexError):
        raise DaisyError("not a file of classes", file=path, fix="Make the targets again") from None
