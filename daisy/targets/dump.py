"""Dump HuBERT features of one layer (or MFCC) into shards, whole or as a seeded draw of utterances and frames.

Shards are fairseq's: ``{split}_{rank}_{nshard}.npy`` with float32 frames, one below the other, and
``.len`` with one count per utterance, 0 where none was drawn. What is drawn depends on the seed and the
utterance alone, never on the number of shards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from daisy.common import stage
from daisy.common.files import atomic, write_text
from daisy.common.progress import Progress
from daisy.common.seeds import generator
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.corpora.walk import walk
from daisy.errors import DaisyError
from daisy.targets.layer_frames import frames_of, place
from daisy.targets.settings import DumpSettings


def drawn(count: int, share: float, seed: int, name: str) -> np.ndarray:
    """Indices of the frames to keep of `count`, for the utterance `name`, in rising order."""
    if share >= 1:
        return np.arange(count)
    return np.flatnonzero(generator(seed, "frames", name).random(count) < share)


def drawn_utterances(manifest: Manifest, share: float, seed: int) -> list[int]:
    """Indices of the utterances to run, in rising order."""
    if share >= 1:
        return list(range(len(manifest)))
    ids = enumerate(item.id for item in manifest.utterances)
    return [index for index, name in ids if generator(seed, "utterances", name).random() < share]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="HuBERT (not needed for MFCC)")
    parser.add_argument("--rank", type=int, default=0, help="which shard, from 0")
    parser.add_argument("--nshard", type=int, default=1, help="how many shards")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of the shards")
    arguments = parser.parse_args(argv)
    settings = stage.settings(DumpSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    rank = read_manifest(arguments.manifest).part(arguments.rank, arguments.nshard)
    places = drawn_utterances(rank, settings.utterances, settings.seed)
    if not places:
        raise DaisyError(
            f"no utterance of {len(rank)} was drawn", file=arguments.manifest, fix="Raise targets.utterances"
        )
    part = dataclasses.replace(rank, utterances=tuple(rank.utterances[place] for place in places))
    kept: dict[int, np.ndarray] = {}

    def keep(batch: list[int], made: list[Tensor]) -> None:
        for index, frames in zip(batch, made, strict=True):
            chosen = drawn(len(frames), settings.share, settings.seed, part.utterances[index].id)
            kept[places[index]] = frames.numpy()[chosen]

    run = frames_of(settings.layer, arguments.checkpoint, settings.compute)
    walk(
        part,
        settings.batch_seconds,
        place(settings.layer, settings.compute),
        Progress("features", part.seconds, "s of audio"),
        run,
        keep,
    )
    name = f"{arguments.manifest.stem}_{arguments.rank}_{arguments.nshard}"
    with atomic(arguments.out / f"{name}.npy") as temporary:
        np.save(temporary, np.concatenate([kept[place] for place in places]))
    lengths = [len(kept.get(place, ())) for place in range(len(rank))]
    write_text(arguments.out / f"{name}.len", "".join(f"{length}\n" for length in lengths))


if __name__ == "__main__":
    stage.run(main)
