"""Mixed recordings in one batch: lengths of 2 to 16 s, loudness, spectra and exits all differ.

Table `batches`: a row per comparison. Columns:

- `system`, `against`, `ratio`, `lowest`, `highest`, `ms`: see `benchmarks.clock`.
- `recordings`: in the batch.
- `mean_exit`: the mean exit layer of `system`; `exits`: how many recordings stopped at each layer, from 1.

Systems: `batch` is one call with all recordings, each with its own exit, in float32 if nothing else is said; `alone`
one call each, one after the other; `published` the published code's way, where the padded batch has one exit, at the
first layer that its threshold can reach and that is not before the mean exit of `batch`. `padding, N s` is no run:
samples of the padded batches of N s that stages make, by length, of a corpus as long-tailed as LibriSpeech, against its
samples.

Branches are random, with weights scaled so that every layer's entropies lie on a slope over the depth.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.clock import SPREAD, row
from benchmarks.model import in_precision, mixed_recordings, random_model
from benchmarks.options import Options
from benchmarks.published import Published
from benchmarks.table import Row
from daisy.common.audio import SAMPLE_RATE
from daisy.common.batches import batches
from daisy.common.speed import take_turns
from daisy.exits.rule import ExitRule, all_candidates, histogram
from daisy.hubert.branches import Branches, frame_entropy
from daisy.hubert.early_exit import EarlyExitHubert

COLUMNS = (*SPREAD, "recordings", "mean_exit", "exits")
SLOPE = (0.55, 0.45)
"""Mean entropy of the first and of the last layer, as shares of the largest there can be, ln C."""

SECONDS = (60, 160)
"""Audio in a padded batch: the default of the stages, and the paper's for training branches."""


def measure(options: Options) -> Iterator[Row]:
    """The rows of the table."""
    model = random_model(options)
    assert model.branches is not None
    waves = mixed_recordings(options.count, options)
    upstream, every = EarlyExitHubert(model), all_candidates(1, options.shape.layers)
    states = [item.states[1:] for item in upstream.all_layers(waves)]
    level(model.branches, states)
    entropies = entropies_of(model.branches, states)
    del states
    tau = spreading(entropies)
    own = ExitRule(every, tau).layers(entropies).tolist()
    published = Published(model)
    _, means = published(waves, every, -1.0)
    theirs = common_exit(means, statistics.fmean(own))

    layers: dict[str, list[int]] = {}

    def batch(name: str = "batch") -> None:
        layers[name] = [item.layer for item in upstream.run(waves, candidates=every, tau=tau)]

    def at_once() -> None:
        layers["published"] = [published(waves, every, theirs)[0]]

    works: dict[str, Callable[[], object]] = {
        "batch": batch,
        "alone": lambda: [upstream.run([wave], candidates=every, tau=tau) for wave in waves],
        "published": at_once,
    }
    half = "batch, bfloat16"
    works[half] = in_precision(options, "bfloat16", functools.partial(batch, half))
    taken = take_turns(works, options.rounds("batches"))
    for system, against in (("batch", "alone"), ("published", "batch"), (half, "batch")):
        own = system != "published"
        counts = " ".join(map(str, histogram(layers[system], options.shape.layers))) if own else ""
        more = {"recordings": len(waves), "mean_exit": statistics.fmean(layers[system]), "exits": counts}
        yield row(taken, system, against, **more)
    yield from padding(options)


def level(branches: Branches, states: Sequence[Tensor], frames: int = 40) -> None:
    """Scale every branch, in place, so that its mean entropy, on a few frames of each recording, lies on the slope."""
    some = [item[:, torch.linspace(0, item.shape[1] - 1, frames).long()] for item in states]
    wanted = np.linspace(*SLOPE, len(branches.weight)) * np.log(branches.shape[1])
    scales = torch.ones(len(wanted))
    for k, target in enumerate(wanted.tolist()):
        logits = torch.cat([branches(k + 1, item[k]) for item in some])
        low, high = 1e-2, 1e3
        for _ in range(30):
            middle = (low * high) ** 0.5
            surer = float(frame_entropy(logits * middle).mean()) < target
            low, high = (low, middle) if surer else (middle, high)
        scales[k] = low
    with torch.no_grad():
        branches.weight.mul_(scales.to(branches.weight)[:, None, None])
        branches.bias.mul_(scales.to(branches.bias)[:, None])


def entropies_of(branches: Branches, states: Sequence[Tensor]) -> np.ndarray:
    """(recordings, K) entropies in nats, from states 1 to K of each."""
    return np.array(
        [
            [float(frame_entropy(branches(k, h)).mean()) for k, h in enumerate(item, start=1)]
            for item in states
        ]
    )  # fmt: skip


def spreading(entropies: np.ndarray) -> float:
    """The threshold, of the entropies' quantiles, at which recordings stop at the most layers; halfway between two."""
    ordered = np.sort(entropies, axis=None)
    places = np.linspace(0, len(ordered) - 2, 40).astype(int)
    every = all_candidates(1, entropies.shape[1])

    def order(tau: float) -> tuple[int, float]:
        found = ExitRule(every, tau).layers(entropies)
        return len(set(found.tolist())), -abs(float(found.mean()) - 0.6 * len(every))

    return max((float(ordered[place : place + 2].mean()) for place in places), key=order)


def common_exit(means: Sequence[float], mean_exit: float) -> float:
    """A threshold for the batch's `means`, by layer, that is first met at the earliest layer from `mean_exit` on."""
    for k, value in enumerate(means[:-1], start=1):
        if k >= mean_exit and value < min(means[: k - 1], default=float("inf")):
            return value + 1e-6
    return -1.0


def padding(options: Options, count: int = 5000) -> Iterator[Row]:
    """What the batches of a corpus like LibriSpeech's training set hold beside its samples."""
    rng = np.random.default_rng(options.seed)
    long = rng.random(count) < 0.7
    seconds = np.where(long, rng.normal(14.5, 1.0, count), rng.uniform(1.4, 14.0, count)).clip(1.4, 24.5)
    samples = [round(value * SAMPLE_RATE) for value in seconds.tolist()]
    for bound in SECONDS:
        padded = sum(samples[group[0]] * len(group) for group in batches(samples, bound))
        share = padded / sum(samples)
        values = (f"padding, {bound} s", "no padding", share, share, share, None)
        yield {**dict(zip(SPREAD, values, strict=True)), "recordings": count}
