"""Keep the hidden states of a task's recordings: one pass of the frozen model, for every method that reads them.

Two files: ``states.npy``, (frames, K + 1, D), utterance after utterance, and ``frames.npy``, how many each has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daisy.common import stage
from daisy.common.batches import batches
from daisy.common.compute import BATCH, memory
from daisy.common.files import atomic
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.features.seen import seen
from daisy.features.settings import StatesSettings
from daisy.hubert.checkpoint import load
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import every_layer


def write_states(encoder: Hubert, manifest: Manifest, settings: StatesSettings, out: Path) -> None:
    """Compute and write the states of a manifest, and their frames."""
    config, view, device = encoder.config, settings.view, encoder.layer_norm.weight.device
    counts = [1 if view.pooled else config.frames(item.samples) for item in manifest.utterances]
    ends = np.cumsum(counts)
    progress = Progress(out.parent.name, manifest.seconds, "s of audio")
    with atomic(out) as temporary:
        shape = (int(ends[-1]), config.layers + 1, config.dim)
        states = np.lib.format.open_memmap(temporary, "w+", np.dtype(settings.storage), shape)
        with open(temporary, "rb+") as file:
            # Taken now: a memory map that meets a full disk later would kill the process without a word.
            os.posix_fallocate(file.fileno(), 0, file.seek(0, os.SEEK_END))
        for batch in batches([item.samples for item in manifest.utterances], settings.batch_seconds):
            with memory(manifest.utterances[batch[0]].id, BATCH):
                runs = every_layer(encoder, [manifest.wave(index).to(device) for index in batch], view.states)
            for index, item in zip(batch, runs, strict=True):
                states[ends[index] - counts[index] : ends[index]] = seen(view, item.states).cpu().numpy()
                progress.add(manifest.utterances[index].samples / 16_000)
        states.flush()
        del states
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
