"""Cluster drawn frames with scikit-learn's MiniBatchKMeans, with fairseq's settings and an explicit seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sklearn
from sklearn.cluster import MiniBatchKMeans

from daisy.common import spent, stage
from daisy.errors import DaisyError
from daisy.targets.centroids import write_centroids
from daisy.targets.settings import KMeansSettings


def read_shards(paths: Sequence[Path], memory_gib: float) -> np.ndarray:
    """(frames, D) float32 of all shards, one below the other.

    Args:
        paths: The shards.
        memory_gib: As much memory as they may take, in GiB.

    Raises:
        DaisyError: if a shard is damaged, or they take more.
    """
    try:
        shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        frames, width = sum(map(len, shards)), shards[0].shape[1]
    except (OSError, ValueError, IndexError) as error:
        raise DaisyError(
            f"a shard cannot be read ({error})", file=paths[0].parent, fix="Delete the shards and run again"
        ) from None
    need = frames * width * 4 / 2**30
    if need > memory_gib:
        raise DaisyError(
            f"the {frames:,} drawn frames take {need:.2f} GiB, more than targets.memory_gib, {memory_gib:g}",
            file=paths[0].parent,
            fix="Lower targets.utterances or targets.share, or raise targets.memory_gib",
        )
    # Filled shard by shard: joining loaded arrays would hold all of them twice.
    whole = np.empty((frames, width), np.float32)
    place = 0
    for shard in shards:
        whole[place : place + len(shard)] = shard
        place += len(shard)
    return whole


def cluster(frames: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, float]:
    """Fit the clusters.

    Args:
        frames: (frames, D) float32.
        clusters: C.
        seed: `random_state`.

    Returns:
        Centroids (C, D) float32, and the mean squared distance of a frame to its centroid.

    Raises:
        DaisyError: if there are fewer frames than clusters.
    """
    if len(frames) < clusters:
        raise DaisyError(
            f"{len(frames)} frames cannot make {clusters} clusters", fix="Lower targets.clusters, or draw more frames"
        )
    model = MiniBatchKMeans(
        n_clusters=clusters,
        init="k-means++",
        max_iter=100,
        batch_size=10_000,
        tol=0.0,
        max_no_improvement=100,
        n_init=20,
        reassignment_ratio=0.0,
        random_state=seed,
    ).fit(frames)
    return model.cluster_centers_.astype(np.float32), float(-model.score(frames) / len(frames))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="drawn frames (.npy)")
    parser.add_argument("--memory-gib", type=float, default=8.0, help="memory for the frames, in GiB (default: 8)")
    parser.add_argument("--out", type=Path, required=True, help="output: centroids and metadata (.npz)")
    arguments = parser.parse_args(argv)
    settings = stage.settings(KMeansSettings, arguments.settings)
    frames = read_shards(arguments.shards, arguments.memory_gib)
    with spent.part("frames times clusters", float(len(frames) * settings.clusters)):
        centroids, distance = cluster(frames, settings.clusters, settings.seed)
    print(f"k-means: {settings.clusters} clusters of {len(frames):,} frames, mean squared distance {distance:.3f}")
    write_centroids(
        arguments.out,
        centroids,
        layer=str(settings.layer),
        seed=settings.seed,
        frames=len(frames),
        mean_squared_distance=distance,
        sklearn=sklearn.__version__,
    )


if __name__ == "__main__":
    stage.run(main)
