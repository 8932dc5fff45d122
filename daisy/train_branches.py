"""Train the exit branches: all layers at once, from one forward pass of the frozen HuBERT."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from daisy import stage
from daisy.batches import batches
from daisy.contents import digest
from daisy.files import write_csv
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint, load
from daisy.hubert.config import Position
from daisy.hubert.writing import save_published
from daisy.label import read_labels
from daisy.manifest import Manifest, read_manifest
from daisy.progress import Progress
from daisy.resume import Resumable, check_finite
from daisy.seeds import generator


@dataclasses.dataclass(frozen=True)
class Settings:
    """Config of this stage.

    Attributes:
        position: Which tensor of a layer the branches read.
        steps: Updates.
        batch_seconds: Audio in one batch.
        learning_rate: Adam's.
        seed: Seed of the weights and of the order of batches.
        save_every: Steps between two saved states.
    """

    position: Position
    steps: int
    batch_seconds: float
    learning_rate: float
    seed: int
    save_every: int


def frozen_states(checkpoint: Checkpoint, waves: Sequence[Tensor]) -> Tensor:
    """h_1 to h_K on all valid frames of a batch: (K, frames, D), utterance after utterance."""
    encoder = checkpoint.encoder
    with torch.no_grad():
        frames = encoder.front_end(waves)
        x = encoder.before_layers(frames)
        states = []
        for k in range(1, encoder.config.layers + 1):
            x, inner = encoder.layer(k, x, frames.mask)
            h = x if checkpoint.position == "after-norm" else inner
            states.append(h.flatten(0, 1) if frames.mask is None else h[frames.mask])
        return torch.stack(states)


def branch_loss(branches: Branches, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss that all branches share.

    Args:
        branches: K classifiers.
        states: (K, frames, D).
        targets: (frames,) classes.

    Returns:
        The mean over branches of the mean cross-entropy over frames, and each branch's accuracy (K,).
    """
    logits = torch.baddbmm(branches.bias[:, None], states, branches.weight.transpose(1, 2))
    layers, count, _ = logits.shape
    loss = F.cross_entropy(logits.flatten(0, 1), targets.repeat(layers))
    accuracy = (logits.detach().argmax(-1) == targets).float().mean(1)
    return loss, accuracy


def order(manifest: Manifest, settings: Settings) -> Iterator[list[int]]:
    """Batches without end: every epoch the same batches of similar length, in an order of its own."""
    groups = batches([item.samples for item in manifest.utterances], settings.batch_seconds)
    epoch = 0
    while True:
        for place in generator(settings.seed, "branches", epoch).permutation(len(groups)):
            yield groups[place]
        epoch += 1


def train(
    checkpoint: Checkpoint, manifest: Manifest, labels: Sequence[np.ndarray], settings: Settings, saved: Resumable
) -> list[dict[str, float]]:
    """Train `checkpoint.branches` in place; return the history of losses and accuracies.

    Raises:
        DaisyError: if the loss is no number.
    """
    branches, optimizer = saved.parts["branches"], saved.parts["optimizer"]
    assert isinstance(branches, Branches) and isinstance(optimizer, torch.optim.Optimizer)
    done, extra = saved.restore()
    history: list[dict[str, float]] = extra.get("history", [])
    progress = Progress("branches", settings.steps, "steps")
    progress.resume_at(done)
    for step, batch in enumerate(order(manifest, settings), start=1):
        if step > settings.steps:
            break
        if step <= done:
            continue
        states = frozen_states(checkpoint, [manifest.wave(index) for index in batch])
        targets = torch.from_numpy(np.concatenate([labels[index] for index in batch]))
        loss, accuracy = branch_loss(branches, states, targets)
        check_finite(loss.item(), step, "branches.learning_rate")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        row = {"step": step, "loss": loss.item()}
        row |= {f"accuracy_{k}": value for k, value in enumerate(accuracy.tolist(), start=1)}
        history.append(row)
        if step % settings.save_every == 0:
            saved.save(step, {"history": history})
        progress.add(1, f"loss {row['loss']:.3f}")
    return history


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="HuBERT")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="a class per frame (.km)")
    parser.add_argument("--dictionary", type=Path, required=True, help="all classes (dict.km.txt)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    parser.add_argument("--out", type=Path, required=True, help="output: the model with branches, published format")
    parser.add_argument("--history", type=Path, required=True, help="output: loss and accuracies per step")
    arguments = parser.parse_args(argv)
    settings = stage.settings(Settings, arguments.settings)
    stage.use_threads(arguments.threads)
    checkpoint = load(arguments.checkpoint)
    manifest = read_manifest(arguments.manifest)
    config = checkpoint.encoder.config
    labels = read_labels(arguments.labels, [config.frames(item.samples) for item in manifest.utterances])
    symbols = [line.split()[0] for line in arguments.dictionary.read_text(encoding="utf-8").splitlines()]
    branches = Branches(config.layers, len(symbols), config.dim)
    branches.reset(torch.Generator().manual_seed(settings.seed))
    checkpoint.branches, checkpoint.position, checkpoint.symbols = branches, settings.position, symbols
    checkpoint.calibrations = {}  # an earlier set of branches was calibrated, not this one
    saved = Resumable(
        arguments.state,
        {"branches": branches, "optimizer": torch.optim.Adam(branches.parameters(), lr=settings.learning_rate)},
        {
            "settings": dataclasses.asdict(settings),
            "inputs": [digest(path) for path in (arguments.checkpoint, arguments.manifest, arguments.labels)],
        },
    )
    history = train(checkpoint, manifest, labels, settings, saved)
    write_csv(arguments.history, list(history[0]), history)
    save_published(arguments.out, checkpoint)
    saved.finish()


if __name__ == "__main__":
    stage.run(main)
