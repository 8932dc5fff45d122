"""Frames of one layer and their labels: batches by length, against fairseq's dump script, one recording at a time.

Table `dump`: a row per system. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `layer`: whose frames; `recordings`, `minutes`: how many, and of how much audio.
- `labels_equal`: the share of frames with the label that `against` gives them, among 500 centroids.
- `memory_mb`: the most memory that the process held above what it held before, in MB; on a GPU, torch there. On a CPU
  Linux only.

Systems: `daisy` float32 and bfloat16 in the batches of the stages (60 s), `daisy one by one`; `fairseq` is
`extract_features` as its script calls it, in float32, and distances as its labelling script has them. Without fairseq,
`daisy one by one` stands in its place. Reading audio and loading models are in none of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.clock import SPREAD, row
from benchmarks.model import mixed_recordings, outputs, random_model
from benchmarks.options import Options
from benchmarks.table import Row
from daisy.common.audio import SAMPLE_RATE
from daisy.common.batches import batches
from daisy.common.compute import Precision
from daisy.common.speed import take_turns
from daisy.hubert.checkpoint import Checkpoint
from daisy.targets.label import nearest

COLUMNS = (*SPREAD, "layer", "recordings", "minutes", "labels_equal", "memory_mb")
BATCH_SECONDS = 60.0
LAYER = 9


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    model = random_model(options)
    waves = mixed_recordings(options.count * 3 // 2, options, 0.5)
    layer = min(LAYER, options.shape.layers)
    frames = torch.cat(outputs(model.encoder, waves[:4], layer))
    drawn = torch.randperm(len(frames), generator=torch.Generator().manual_seed(options.seed))
    works = works_of(model, waves, layer, frames[drawn[: options.classes]].cpu().numpy(), options)
    labels, memory = {}, {}
    for name, work in works.items():
        memory[name], found = peak_of(work, options)
        labels[name] = np.concatenate(found)
    taken = take_turns(works, options.rounds("dump"))
    against = "fairseq" if "fairseq" in works else "daisy one by one"
    size = {"layer": layer, "recordings": len(waves), "minutes": sum(map(len, waves)) / SAMPLE_RATE / 60}
    for name in works:
        equal = float(np.mean(labels[name] == labels[against]))
        yield row(taken, name, against, **size, labels_equal=equal, memory_mb=memory[name])


Labelling = Callable[[], list[np.ndarray]]


def works_of(
    model: Checkpoint, waves: list[Tensor], layer: int, centroids: np.ndarray, options: Options
) -> dict[str, Labelling]:
    """The systems, each giving the labels of every recording."""
    assign = nearest(centroids, options.place)
    groups = batches([len(wave) for wave in waves], BATCH_SECONDS)

    def bucketed(precision: Precision, groups: list[list[int]]) -> Labelling:
        def work() -> list[np.ndarray]:
            found: dict[int, np.ndarray] = {}
            for group in groups:
                with options.compute(precision).autocast():
                    states = outputs(model.encoder, [waves[index] for index in group], layer)
                for index, frames in zip(group, states, strict=True):
                    found[index] = assign(frames.float()).cpu().numpy()
            return [found[index] for index in range(len(waves))]

        return work

    works = {
        "daisy float32": bucketed("float32", groups),
        "daisy bfloat16": bucketed("bfloat16", groups),
        "daisy one by one": bucketed("float32", [[index] for index in range(len(waves))]),
    }
    if peers.present(("fairseq",)):
        works["fairseq"] = fairseq_way(peers.fairseq_model(model), waves, layer, torch.from_numpy(centroids))
    return works


def fairseq_way(model: Any, waves: list[Tensor], layer: int, centroids: Tensor) -> Labelling:
    """fairseq's `dump_hubert_feature.py` and `dump_km_label.py`, without their files."""
    weight = centroids.T.to(waves[0].device)
    norms = weight.square().sum(0, keepdim=True)
    chunk = 1_600_000

    def frames(wave: Tensor) -> Tensor:
        source, found = wave.view(1, -1), []
        for start in range(0, source.shape[1], chunk):
            part = source[:, start : start + chunk]
            found.append(model.extract_features(source=part, padding_mask=None, mask=False, output_layer=layer)[0])
        return torch.cat(found, 1).squeeze(0)

    @torch.no_grad()
    def work() -> list[np.ndarray]:
        labels = []
        for wave in waves:
            x = frames(wave)
            distance = x.square().sum(1, keepdim=True) - 2 * torch.matmul(x, weight) + norms
            labels.append(distance.argmin(dim=1).cpu().numpy())
        return labels

    return work


def peak_of(work: Labelling, options: Options) -> tuple[float | None, list[np.ndarray]]:
    """How far the process's memory rises above where it was, in MB, while `work` runs, and what that gives.

    None where Linux does not tell.
    """
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before, found = torch.cuda.memory_allocated(), work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6, found
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what earlier work left behind would hide what this one needs
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
        before = memory_kb("VmRSS")
    except (OSError, AttributeError, StopIteration):
        return None, work()
    found = work()
    return (memory_kb("VmHWM") - before) / 1024, found


def memory_kb(name: str) -> int:
    """A line of what Linux tells of the process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
