"""Compute a task's features once: all hidden states, layer-normalised, and every branch's entropy.

All methods of a task, and all cells of its evaluation, share what one forward pass gives here. Two
files per split: ``NAME.npy`` with the states, (frames, K + 1, D), and ``NAME.npz`` with the frames of
each utterance and its entropies (utterances, K). Where states are streamed, the first holds no frame.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from daisy.common import stage
from daisy.common.batches import batches
from daisy.common.compute import BATCH, memory
from daisy.common.files import atomic
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.errors import DaisyError
from daisy.features.kept import load_features, normalise
from daisy.features.settings import FeaturesSettings
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.every_layer import Layers, every_layer


def _run(model: Checkpoint, manifest: Manifest, batch: Sequence[int]) -> Iterator[tuple[int, Layers]]:
    with memory(manifest.utterances[batch[0]].id, BATCH):
        waves = [manifest.wave(index).to(model.device) for index in batch]
        return zip(batch, every_layer(model.encoder, model.branches, model.position, waves), strict=True)


def write_features(model: Checkpoint, manifest: Manifest, settings: FeaturesSettings, out: Path) -> None:
    """Compute and write the features of a manifest."""
    config = model.encoder.config
    counts = [1 if settings.pooled else config.frames(item.samples) for item in manifest.utterances]
    ends = np.cumsum(counts)
    entropies = np.zeros((len(manifest), model.encoder.config.layers))
    progress = Progress(out.parent.name, manifest.seconds, "s of audio")
    shape = (int(ends[-1]) * settings.keep, model.encoder.config.layers + 1, config.dim)
    with atomic(out) as temporary:
        states = np.lib.format.open_memmap(temporary, "w+", np.dtype(settings.storage), shape)
        with open(temporary, "rb+") as file:
            # Taken now: a memory map that meets a full disk later would kill the process without a word.
            os.posix_fallocate(file.fileno(), 0, file.seek(0, os.SEEK_END))
        for batch in batches([item.samples for item in manifest.utterances], settings.batch_seconds):
            for index, item in _run(model, manifest, batch):
                entropies[index] = item.entropies
                if settings.keep:
                    kept = normalise(item.states)
                    if settings.pooled:
                        kept = kept.mean(1, keepdim=True)
                    states[ends[index] - counts[index] : ends[index]] = kept.transpose(0, 1).cpu().numpy()
                progress.add(manifest.utterances[index].samples / 16_000)
        states.flush()
        del states
    with atomic(out.with_suffix(".npz")) as temporary:
        np.savez(temporary, frames=np.array(counts), entropies=entropies)


def link_states(source: Path, out: Path) -> None:
    """Give the states of `source` a second name: they take no space, and outlive the first one."""
    with atomic(out) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            # Another file system, or one without links.
            shutil.copyfile(source, temporary)


def write_entropies(model: Checkpoint, manifest: Manifest, settings: FeaturesSettings, like: Path, out: Path) -> None:
    """Entropies of other branches on the same HuBERT, beside the states that are there already.

    Raises:
        DaisyError: if the states in `like` are not this HuBERT's, or of another manifest.
    """
    known = load_features(like)
    if len(known) != len(manifest):
        raise DaisyError(f"states of {len(known)} utterances for {len(manifest)}", file=like, fix="Make them again")
    entropies = np.zeros((len(manifest), model.encoder.config.layers))
    progress = Progress(f"entropies, {out.parent.name}", manifest.seconds, "s of audio")
    for batch in batches([item.samples for item in manifest.utterances], settings.batch_seconds):
        for index, item in _run(model, manifest, batch):
            entropies[index] = item.entropies
            progress.add(manifest.utterances[index].samples / 16_000)
            if index == 0:
                kept = normalise(item.states)
                kept = (kept.mean(1, keepdim=True) if settings.pooled else kept).transpose(0, 1).cpu()
                if not torch.allclose(kept, known.utterance(0, model.encoder.config.layers), rtol=0, atol=0.02):
                    raise DaisyError("these states are of another HuBERT", file=like, fix="Make them again")
    link_states(like, out)
    with atomic(out.with_suffix(".npz")) as temporary:
        np.savez(temporary, frames=known.frames, entropies=entropies)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--upstream", type=Path, required=True, help="DAISY checkpoint")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument(
        "--like", type=Path, help="states of the same HuBERT with other branches: only entropies are new"
    )
    parser.add_argument("--out", type=Path, required=True, help="output: NAME.npy; NAME.npz beside it")
    arguments = parser.parse_args(argv)
    settings = stage.settings(FeaturesSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    model, manifest = load(arguments.upstream).to(settings.compute.place()), read_manifest(arguments.manifest)
    if arguments.like:
        write_entropies(model, manifest, settings, arguments.like, arguments.out)
    else:
        write_features(model, manifest, settings, arguments.out)


if __name__ == "__main__":
    stage.run(main)
