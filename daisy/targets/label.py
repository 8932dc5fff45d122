"""Label every frame with its target class while the audio streams through the model; nothing is dumped.

Several jobs can label a part of the manifest each; `daisy.targets.join` joins what they wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daisy.common import stage
from daisy.common.compute import Compute
from daisy.common.progress import Progress
from daisy.corpora.utterances import read_manifest
from daisy.corpora.walk import walk
from daisy.hubert.products import Linear
from daisy.targets.centroids import read_centroids
from daisy.targets.head import load_with_head
from daisy.targets.km import write_labels
from daisy.targets.layer_frames import frames_of, place
from daisy.targets.settings import LabelSettings


def nearest(centroids: np.ndarray, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from (T, D) frames on `device` to (T,) indices of the nearest of `centroids` (C, D).

    ``|x - c|^2`` is least where ``|c|^2 - 2 x c`` is, so one matrix product finds it.
    """
    count, dim = centroids.shape
    distance = Linear(dim, count, device="meta")  # whose weights are given, and not drawn first
    given = {"weight": -2 * centroids, "bias": np.square(centroids).sum(axis=1)}
    distance.load_state_dict({name: torch.from_numpy(value).to(device) for name, value in given.items()}, assign=True)

    def assign(frames: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):  # a label needs all digits
            return distance(frames).argmin(dim=1)

    return assign


def head_labels(path: Path | None, compute: Compute) -> Callable[[list[Tensor]], list[Tensor]]:
    """What gives the (T,) classes of a batch's recordings by a checkpoint's own pre-training head, without masks.

    A class is a place in fairseq's dictionary, as in the authors' `HuBERT-Finetuning-Target`: 0 to 3 are its special
    symbols, which may win like any other class, and cluster n of the pre-training's ``.km`` is n + 4.

    Raises:
        DaisyError: if the checkpoint has no such head.
    """
    model, head = load_with_head(path)
    encoder = model.to(compute.place()).encoder

    def run(waves: list[Tensor]) -> list[Tensor]:
        with torch.inference_mode(), compute.autocast():
            frames = encoder.output(waves, encoder.config.layers)
            with torch.autocast(frames.states.device.type, enabled=False):  # a label needs all digits
                x = frames.states.float()
                return frames.packing.split(
                    head(encoder.encoder.layer_norm(x) if encoder.config.pre_norm else x).argmax(-1)
                )

    return run


def centroid_labels(
    centroids: Path, settings: LabelSettings, checkpoint: Path | None
) -> Callable[[list[Tensor]], list[Tensor]]:
    """What gives the (T,) indices of the nearest centroids for a batch's recordings."""
    assign = nearest(read_centroids(centroids)[0], place(settings.layer, settings.compute))
    frames = frames_of(settings.layer, checkpoint, settings.compute)
    return lambda waves: [assign(item) for item in frames(waves)]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="HuBERT (not needed for MFCC)")
    parser.add_argument("--centroids", type=Path, help="needed for kind kmeans")
    parser.add_argument("--rank", type=int, default=0, help="which part of the manifest, from 0")
    parser.add_argument("--nshard", type=int, default=1, help="how many parts")
    parser.add_argument("--out", type=Path, required=True, help="output: labels (.km)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(LabelSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    manifest = read_manifest(arguments.manifest).part(arguments.rank, arguments.nshard)
    if settings.kind == "head":
        device, run = settings.compute.place(), head_labels(arguments.checkpoint, settings.compute)
    else:
        device = place(settings.layer, settings.compute)
        run = centroid_labels(arguments.centroids, settings, arguments.checkpoint)
    labels: dict[int, np.ndarray] = {}

    def keep(batch: list[int], made: list[Tensor]) -> None:
        # Copies: on a GPU they are parts of pinned buffers, which others wait for.
        labels.update(zip(batch, (item.numpy().copy() for item in made), strict=True))

    walk(manifest, settings.batch_seconds, device, Progress("labels", manifest.seconds, "s of audio"), run, keep)
    write_labels(arguments.out, [labels[index] for index in range(len(manifest))])


if __name__ == "__main__":
    stage.run(main)
