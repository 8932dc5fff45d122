"""Train the exit branches: all layers at once, from one forward pass of the frozen HuBERT."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from daisy.branches.settings import BranchesSettings
from daisy.common import spent, stage
from daisy.common.batches import endless, seconds_per_step
from daisy.common.compute import Compute
from daisy.common.contents import digest
from daisy.common.files import write_csv
from daisy.common.transfer import Sent, reading
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint, load, save
from daisy.hubert.every_layer import layer_by_layer
from daisy.targets.km import read_dictionary, read_labels
from daisy.training.loop import Loop, Values, check_finite
from daisy.training.resume import Resumable
from daisy.training.stretches import Stretches
from daisy.training.workers import start_workers


def frozen_states(checkpoint: Checkpoint, waves: Sequence[Tensor], compute: Compute) -> Tensor:
    """h_1 to h_K on all valid frames of a batch: (K, frames, D), utterance after utterance, as branches take them.

    No utterance is longer than a window.
    """
    encoder, kind = checkpoint.encoder, compute.dtype
    with torch.no_grad(), compute.autocast():
        return torch.stack([state.to(kind) for _, state, _ in layer_by_layer(encoder, waves, checkpoint.position)])


def branch_loss(branches: Branches, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss that all branches share.

    Args:
        branches: K classifiers.
        states: (K, frames, D).
        targets: (frames,) classes.

    Returns:
        The mean over branches of the mean cross-entropy over frames, and each branch's accuracy (K,).
    """
    logits = branches.logits(states).float()
    loss = F.cross_entropy(logits.flatten(0, 1), targets.repeat(len(logits)))
    accuracy = (logits.detach().argmax(-1) == targets).float().mean(1)
    return loss, accuracy


def optimizer_of(branches: Branches, learning_rate: float) -> torch.optim.Optimizer:
    """What trains the branches."""
    return torch.optim.Adam(branches.parameters(), lr=learning_rate, fused=True)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a batch, on its way to the device: recordings, and the classes of all their frames."""

    waves: Sent
    targets: Sent


def read_part(
    manifest: Manifest,
    labels: Sequence[np.ndarray],
    own: Mapping[int, slice],
    stretches: Stretches,
    device: torch.device,
) -> Part:
    """Read the stretches of some utterances that are a step's own."""
    targets = np.concatenate([labels[index][part] for index, part in own.items()])
    return Part(Sent(stretches.waves(manifest, own), device), Sent([torch.from_numpy(targets)], device))


def train(
    checkpoint: Checkpoint, manifest: Manifest, labels: Sequence[np.ndarray], settings: BranchesSettings, loop: Loop
) -> list[dict[str, float]]:
    """Train `checkpoint.branches` in place; return the history of losses and accuracies.

    Raises:
        DaisyError: if the loss is no number, or a step needs more memory than there is.
    """
    branches, optimizer = loop.saved.parts["branches"], loop.saved.parts["optimizer"]
    assert isinstance(branches, Branches) and isinstance(optimizer, torch.optim.Optimizer)
    device, stretches = branches.weight.device, Stretches(checkpoint.encoder.config, settings.seed)
    done, extra = loop.saved.restore()
    history: list[dict[str, float]] = extra.get("history", [])

    def read(step: int, batch: list[int]) -> list[tuple[float, Part]]:
        frames = {index: len(labels[index]) for index in batch}
        parts = stretches.of_parts(frames, step, loop.workers.share(batch, settings.accumulate))
        return [(share, read_part(manifest, labels, own, stretches, device)) for share, own in parts]

    def loss_of(part: Part) -> tuple[Tensor, Tensor]:
        states = frozen_states(checkpoint, part.waves.arrived(), settings.compute)
        with settings.compute.autocast():
            return branch_loss(branches, states, *part.targets.arrived())

    def update(step: int, parts: list[tuple[float, Part]]) -> Values:
        optimizer.zero_grad()
        found = loop.workers.backward(parts, loss_of, branches.parameters())
        optimizer.step()
        told = loop.workers.reading(found)

        def values() -> tuple[dict[str, float], str]:
            loss, *accuracies = told()
            check_finite(loss, step, "branches.learning_rate")
            row = {"loss": loss, **{f"accuracy_{k}": value for k, value in enumerate(accuracies, start=1)}}
            history.append({"step": step, **row})
            return row, f"loss {loss:.3f}"

        return values

    samples = [item.samples for item in manifest.utterances]
    spent.note("seconds_per_step", seconds_per_step(samples, settings.batch_seconds))
    order = endless(samples, settings.batch_seconds, settings.seed, "branches")
    loop.run(order, read, update, lambda: {"history": history}, done, reading(device))
    return history


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="HuBERT")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="a class per frame (.km)")
    parser.add_argument("--dictionary", type=Path, required=True, help="all classes (dict.km.txt)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--curves", type=Path, help="folder for TensorBoard")
    parser.add_argument("--out", type=Path, required=True, help="output: the model with branches, published format")
    parser.add_argument("--history", type=Path, required=True, help="output: loss and accuracies per step")
    arguments = parser.parse_args(argv)
    settings = stage.settings(BranchesSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    workers = start_workers()
    checkpoint = load(arguments.checkpoint)
    manifest = read_manifest(arguments.manifest)
    config = checkpoint.encoder.config
    labels = read_labels(arguments.labels, [config.frames(item.samples) for item in manifest.utterances])
    symbols = read_dictionary(arguments.dictionary)
    branches = Branches(config.layers, len(symbols), config.dim)
    branches.reset(torch.Generator().manual_seed(settings.seed))
    checkpoint.branches, checkpoint.position, checkpoint.symbols = branches, settings.position, symbols
    checkpoint.to(settings.compute.place())
    checkpoint.calibrations = {}  # an earlier set of branches was calibrated, not this one
    saved = Resumable(
        arguments.state,
        {"branches": branches, "optimizer": optimizer_of(branches, settings.learning_rate)},
        {
            "settings": dataclasses.asdict(settings),
            "inputs": [digest(path) for path in (arguments.checkpoint, arguments.manifest, arguments.labels)],
        },
        workers,
    )
    loop = Loop(
        "branches", settings.steps, settings.save_every, "branches.batch_seconds", saved, workers, arguments.curves, 1
    )
    history = train(checkpoint, manifest, labels, settings, loop)
    if workers.first:
        write_csv(arguments.history, list(history[0]), history)
        save(arguments.out, checkpoint.to("cpu"), "daisy")
    saved.finish()
    workers.end()


if __name__ == "__main__":
    stage.run(main)
