"""Label every frame with its target class while the audio streams through the model; nothing is dumped.

Several jobs can label a part of the manifest each; `daisy.targets.join` joins what they wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from daisy.common import stage
from daisy.common.batches import batches
from daisy.common.compute import BATCH, Compute, memory
from daisy.common.progress import Progress
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.hubert.products import Linear
from daisy.targets.centroids import read_centroids
from daisy.targets.km import write_labels
from daisy.targets.layer_frames import features
from daisy.targets.settings import LabelSettings


def nearest(centroids: np.ndarray, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from (T, D) frames on `device` to (T,) indices of the nearest of `centroids` (C, D).

    ``|x - c|^2`` is least where ``|c|^2 - 2 x c`` is, so one matrix product finds it.
    """
    count, dim = centroids.shape
    distance = Linear(dim, count, device="meta")  # whose weights are given, and not drawn first
    given = {"weight": -2 * centroids, "bias": np.square(centroids).sum(axis=1)}
    distance.load_state_dict({name: torch.from_numpy(value).to(device) for name, value in given.items()}, assign=True)

    def assign(frames: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):  # a label needs all digits
            return distance(frames).argmin(dim=1)

    return assign


def head_labels(
    manifest: Manifest, checkpoint: Path | None, batch_seconds: float, compute: Compute
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (index, (T,) classes) by the checkpoint's own pre-training head, over unmasked audio.

    A class is a place in fairseq's dictionary, as in the authors' `HuBERT-Finetuning-Target`: 0 to 3 are its special
    symbols, which may win like any other class, and cluster n of the pre-training's ``.km`` is n + 4.

    Raises:
        DaisyError: if the checkpoint has no such head.
    """
    from daisy.targets.head import load_with_head

    model, head = load_with_head(checkpoint)
    device = compute.place()
    model.to(device)
    for batch in batches([item.samples for item in manifest.utterances], batch_seconds):
        with memory(manifest.utterances[batch[0]].id, BATCH), torch.inference_mode(), compute.autocast():
            waves = [manifest.wave(index).to(device) for index in batch]
            frames = model.encoder.output(waves, model.encoder.config.layers)
            with torch.autocast(device.type, enabled=False):  # a label needs all digits
                x = frames.states.float()
                if model.encoder.config.pre_norm:
                    x = model.encoder.encoder.layer_norm(x)
                best = head(x).argmax(-1)
        yield from zip(batch, frames.packing.split(best), strict=True)


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
    labels: dict[int, np.ndarray] = {}
    if settings.kind == "head":
        stream = head_labels(manifest, arguments.checkpoint, settings.batch_seconds, settings.compute)
    else:
        assign = nearest(read_centroids(arguments.centroids)[0], settings.compute.place())
        frames = features(manifest, settings.layer, arguments.checkpoint, settings.batch_seconds, settings.compute)
        stream = ((index, assign(item)) for index, item in frames)
    progress = Progress("labels", manifest.seconds, "s of audio")
    for index, item in stream:
        labels[index] = item.cpu().numpy()
        progress.add(manifest.utterances[index].samples / 16_000)
    write_labels(arguments.out, [labels[index] for index in range(len(manifest))])


if __name__ == "__main__":
    stage.run(main)
