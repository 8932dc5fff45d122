"""What a front end that no longer learns makes of every recording, kept on the disk instead of made in every step.

It takes nearly half of a step of a small model. Each recording is kept as several copies, each augmented once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from daisy.common.files import atomic
from daisy.common.progress import Progress
from daisy.common.seeds import generator
from daisy.errors import DaisyError
from daisy.pretraining.data import Data, Kept, frames_of
from daisy.pretraining.masked import Pretrainer

TOGETHER = 16
"""Recordings that are augmented together, with one another's speech."""


def keep(model: Pretrainer, data: Data, folder: Path, inputs: Sequence[str]) -> Data:
    """The same data with the front end's output kept.

    Args:
        model: Whose front end.
        data: The recordings.
        folder: Where it is kept, copy by copy; what is there already is taken.
        inputs: What tells the recordings and their noise from others.

    Raises:
        DaisyError: if the front end learns.
    """
    settings = data.settings
    if settings.front_end:
        raise DaisyError(
            f"a front end whose gradient counts {settings.front_end} cannot be kept",
            fix="Set front_end to 0, or kept to 0",
        )
    weights = hashlib.sha256(json.dumps([settings.seed, dataclasses.asdict(settings.augment), *inputs]).encode())
    for weight in model.hubert.feature_extractor.parameters():
        weights.update(weight.detach().cpu().numpy().tobytes())
    frames = [frames_of(item.samples) for item in data.manifest.utterances]
    ends = np.cumsum([0, *frames])
    progress = Progress("front end", settings.kept * len(frames), "recordings")
    copies = []
    for copy in range(settings.kept):
        path = folder / f"front-{weights.hexdigest()[:12]}-{copy}.npy"
        if path.exists():
            progress.resume_at((copy + 1) * len(frames))
        else:
            _write(path, model, data, copy, ends, progress)
        copies.append(np.load(path, mmap_mode="r"))
    return dataclasses.replace(data, kept=Kept(tuple(copies), ends))


@torch.no_grad()
def _write(path: Path, model: Pretrainer, data: Data, copy: int, ends: np.ndarray, progress: Progress) -> None:
    """All recordings' features one behind the other, (frames, channels), in half precision."""
    extractor, device = model.hubert.feature_extractor, next(model.parameters()).device
    with atomic(path) as temporary:
        width = model.hubert.config.conv_layers[-1][0]
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=(int(ends[-1]), width))
        for first in range(0, len(ends) - 1, TOGETHER):
            group = range(first, min(first + TOGETHER, len(ends) - 1))
            waves = data.augmented(
                [data.manifest.wave(index).numpy() for index in group],
                generator(data.settings.seed, "kept", copy, first),
            )
            for index, wave in zip(group, waves, strict=True):
                features = extractor(torch.from_numpy(wave)[None].to(device))[0]
                out[ends[index] : ends[index + 1]] = features.to(torch.float16).cpu().numpy()
            progress.add(len(group), "")
        out.flush()
