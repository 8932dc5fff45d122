"""Keep the hidden states of a task's recordings: one pass of the frozen model, for every method that reads them.

Two files: ``states.npy``, (frames, K + 1, D), utterance after utterance, and ``frames.npy``, how many each has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from daisy.common import stage
from daisy.common.files import atomic
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.corpora.walk import walk
from daisy.features.seen import seen
from daisy.features.settings import StatesSettings
from daisy.hubert.checkpoint import load
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import every_layer


def room(path: Path, shape: tuple[int, ...], kind: str) -> np.memmap:
    """A new file of states, mapped into memory, for which the disk has room.

    Raises:
        OSError: if it has none.
    """
    states = np.lib.format.open_memmap(path, "w+", np.dtype(kind), shape)
    with open(path, "rb+") as file:
        # Taken now: a memory map that meets a full disk later would kill the process without a word.
        os.posix_fallocate(file.fileno(), 0, file.seek(0, os.SEEK_END))
    return states


def write_states(encoder: Hubert, manifest: Manifest, settings: StatesSettings, out: Path) -> None:
    """Compute and write the states of a manifest, and their frames."""
    config, view = encoder.config, settings.view
    counts = [1 if view.pooled else config.frames(item.samples) for item in manifest.utterances]
    ends = np.cumsum(counts)
    with atomic(out) as temporary:
        states = room(temporary, (int(ends[-1]), config.layers + 1, config.dim), settings.storage)

        def run(waves: list[Tensor]) -> list[Tensor]:
            return [seen(view, item.states) for item in every_layer(encoder, waves, view.states)]

        def keep(batch: list[int], made: list[Tensor]) -> None:
            for index, item in zip(batch, made, strict=True):
                states[ends[index] - counts[index] : ends[index]] = item.numpy()

        device = encoder.device
        walk(
            manifest,
            settings.batch_seconds,
            device,
            Progress(out.parent.name, manifest.seconds, "s of audio"),
            run,
            keep,
        )
        states.flush()
    with atomic(out.with_name("frames.npy")) as temporary, open(temporary, "wb") as file:
        np.save(file, np.array(counts))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="HuBERT")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="output: states.npy; frames.npy beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(StatesSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    encoder = load(arguments.checkpoint).to(settings.compute.place()).encoder
    write_states(encoder, read_manifest(arguments.manifest), settings, arguments.out)


if __name__ == "__main__":
    stage.run(main)
