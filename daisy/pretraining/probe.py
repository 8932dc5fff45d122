"""What each layer of a HuBERT knows: a linear CTC over characters and a linear speaker classifier on its states.

Every layer has probes of its own, all trained side by side for a fixed number of steps, so that the layers can be
compared; states are normalised. It tells before any downstream training whether depth matters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.common import stage
from daisy.common.batches import batches
from daisy.common.columns import write_table
from daisy.common.compute import Compute
from daisy.common.seeds import generator
from daisy.corpora.utterances import Manifest, read_manifest
from daisy.errors import DaisyError
from daisy.pretraining.probe_table import Row, shown
from daisy.pretraining.settings import ProbeSettings

KERNEL = 5
"""Frames that the linear CTC sees at once."""

SPEAKER_STEPS = 500
"""Updates of the speaker classifiers, each on all recordings."""


def drawn(manifest: Manifest, count: int, seed: int) -> Manifest:
    """At most `count` recordings, in an order of their own; 0 for all."""
    order = generator(seed, "probe").permutation(len(manifest))[: count or None]
    return dataclasses.replace(manifest, utterances=tuple(manifest.utterances[index] for index in sorted(order)))


def states_of(checkpoint: Path, manifest: Manifest, compute: Compute) -> list[Tensor]:
    """(K + 1, T, D) states of every recording, in half precision and on the CPU."""
    from daisy.hubert.checkpoint import load
    from daisy.hubert.every_layer import every_layer

    encoder = load(checkpoint).to(compute.place()).encoder
    result: list[Tensor] = [torch.empty(0)] * len(manifest)
    for batch in batches([item.samples for item in manifest.utterances], 40.0):
        waves = [manifest.wave(index).to(compute.place()) for index in batch]
        with torch.inference_mode(), compute.autocast():
            layers = every_layer(encoder, waves, "after-norm")
        for index, item in zip(batch, layers, strict=True):
            result[index] = item.states.half().cpu()
    return result


def normalised(train: Sequence[Tensor], test: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """All states with the mean and the deviation of the training frames taken out, layer by layer."""
    frames = sum(item.shape[1] for item in train)
    mean = sum(item.float().sum(1) for item in train)[:, None] / frames  # type: ignore[index]
    spread = (sum((item.float() - mean).square().sum(1) for item in train)[:, None] / frames).sqrt() + 1e-5  # type: ignore[index,union-attr]
    first, second = ([((item.float() - mean) / spread).half() for item in part] for part in (train, test))
    return first, second


class LinearCTC(nn.Module):
    """A linear CTC for each of L layers, as one grouped convolution."""

    def __init__(self, layers: int, dim: int, characters: str, seed: int) -> None:
        super().__init__()
        self.layers, self.characters = layers, characters
        self.classes = len(characters) + 1
        self.conv = nn.Conv1d(layers * dim, layers * self.classes, KERNEL, padding=KERNEL // 2, groups=layers)
        one = nn.Conv1d(dim, self.classes, KERNEL)
        with torch.no_grad():  # every layer starts from the same weights
            nn.init.normal_(one.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
            self.conv.weight.copy_(one.weight.repeat(layers, 1, 1))
            self.conv.bias.zero_()  # type: ignore[union-attr]

    def forward(self, states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """States (L, T, D) to log-probabilities (T, B, L, classes), and the frames of each recording."""
        device = self.conv.weight.device
        rows = [item.float().transpose(1, 2).flatten(0, 1).T for item in states]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True).transpose(1, 2).to(device)
        out = self.conv(padded).unflatten(1, (self.layers, self.classes))
        return out.log_softmax(2).permute(3, 0, 1, 2), torch.tensor([item.shape[1] for item in states])

    def losses(self, states: Sequence[Tensor], texts: Sequence[str]) -> Tensor:
        """(B, L) losses per character."""
        out, frames = self(states)
        targets = [torch.tensor([self.characters.find(c) + 1 for c in text]) for text in texts]
        sizes = torch.tensor([len(item) for item in targets]).repeat_interleave(self.layers)
        repeated = torch.cat([item.repeat(self.layers) for item in targets]).to(out.device)
        lengths = frames.repeat_interleave(self.layers)
        loss = F.ctc_loss(out.flatten(1, 2), repeated, lengths, sizes, reduction="none", zero_infinity=True)
        return loss.view(len(states), self.layers) / sizes.view(len(states), self.layers).to(loss.device)

    @torch.no_grad()
    def texts(self, states: Sequence[Tensor]) -> list[list[str]]:
        """What each layer reads in each recording, greedily."""
        out, frames = self(states)
        best = out.argmax(-1).permute(1, 2, 0).cpu()
        return [[self._text(row[:count]) for row in item] for item, count in zip(best, frames.tolist(), strict=True)]

    def _text(self, classes: Tensor) -> str:
        return "".join(self.characters[c - 1] for c in torch.unique_consecutive(classes).tolist() if c)


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Substitutions, insertions and deletions, at least."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(reference, start=1):
        before, row[0] = row[0], place
        for index, other in enumerate(heard, start=1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (word != other))
    return row[-1]


def probe_text(
    train: tuple[Sequence[Tensor], Sequence[str]],
    test: tuple[Sequence[Tensor], Sequence[str]],
    settings: ProbeSettings,
    device: torch.device,
) -> tuple[list[float], list[float]]:
    """The test loss, and the word error rate in per cent, of a linear CTC on each layer.

    Args:
        train: States (L, T, D), and texts.
        test: The same.
        settings: How the probes are trained.
        device: Where.
    """
    (states, texts), (others, references) = train, test
    characters = "".join(sorted(set("".join(texts))))
    ctc = LinearCTC(len(states[0]), states[0].shape[-1], characters, settings.seed).to(device)
    optimizer = torch.optim.Adam(ctc.parameters(), lr=settings.learning_rate)
    for step in range(settings.steps):
        chosen = generator(settings.seed, "ctc", step).integers(len(states), size=settings.batch_size)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - step / settings.steps)
        optimizer.zero_grad()
        ctc.losses([states[i] for i in chosen], [texts[i] for i in chosen]).mean(0).sum().backward()
        optimizer.step()
    losses, errors, words = [], np.zeros(len(states[0])), 0
    for begin in range(0, len(others), settings.batch_size):
        part = slice(begin, begin + settings.batch_size)
        with torch.no_grad():
            losses.append(ctc.losses(others[part], references[part]).cpu())
        for reference, heard in zip(references[part], ctc.texts(others[part]), strict=True):
            words += len(reference.split())
            errors += [word_errors(reference.split(), text.split()) for text in heard]
    return torch.cat(losses).mean(0).tolist(), (100 * errors / words).tolist()


def probe_speakers(
    train: tuple[Sequence[Tensor], Sequence[str]], test: tuple[Sequence[Tensor], Sequence[str]], seed: int
) -> list[float]:
    """The accuracy in per cent of a linear classifier on each layer's mean states; who is new to it counts as wrong."""
    names = sorted(set(train[1]))
    x, other = (torch.stack([item.float().mean(1) for item in part[0]], 1) for part in (train, test))  # (L, N, D)
    mean, spread = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-5
    x, other = (x - mean) / spread, (other - mean) / spread
    weight = torch.zeros(len(x), x.shape[-1] + 1, len(names), requires_grad=True)
    target = torch.tensor([names.index(name) for name in train[1]])
    optimizer = torch.optim.AdamW([weight], lr=0.02, weight_decay=0.01)
    for _ in range(SPEAKER_STEPS):
        optimizer.zero_grad()
        logits = x @ weight[:, :-1] + weight[:, -1:]
        F.cross_entropy(logits.flatten(0, 1), target.repeat(len(x))).mul(len(x)).backward()
        optimizer.step()
    with torch.no_grad():
        best = (other @ weight[:, :-1] + weight[:, -1:]).argmax(-1)
    right = torch.tensor([[names[c] == name for c, name in zip(row, test[1], strict=True)] for row in best.tolist()])
    return (100 * right.float().mean(1)).tolist()


def probe(checkpoint: Path, train: Manifest, test: Manifest, settings: ProbeSettings, compute: Compute) -> list[Row]:
    """A row for every layer.

    Raises:
        DaisyError: if there are neither texts nor speakers.
    """
    train, test = drawn(train, settings.recordings, settings.seed), drawn(test, settings.recordings, settings.seed)
    parts = normalised(states_of(checkpoint, train, compute), states_of(checkpoint, test, compute))
    layers = len(parts[0][0])
    texts = [[item.text for item in part.utterances] for part in (train, test)]
    speakers = [[item.speaker for item in part.utterances] for part in (train, test)]
    losses: Sequence[float | None] = [None] * layers
    errors, accuracies = losses, losses
    if all(map(all, texts)):
        losses, errors = probe_text((parts[0], texts[0]), (parts[1], texts[1]), settings, compute.place())
    if len(set(speakers[0])) > 1:
        accuracies = probe_speakers((parts[0], speakers[0]), (parts[1], speakers[1]), settings.seed)
    if losses[0] is None and accuracies[0] is None:
        raise DaisyError("neither texts nor speakers", file=train.root, fix="Use a manifest whose table has them")
    return [Row(layer, *values) for layer, values in enumerate(zip(losses, errors, accuracies, strict=True))]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__, threads=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="HuBERT")
    parser.add_argument("--train", type=Path, required=True, help="manifest with texts, speakers, or both")
    parser.add_argument("--test", type=Path, required=True, help="likewise: a dev set, where something is chosen by it")
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--out", type=Path, required=True, help="output: a table with a row per layer")
    arguments = parser.parse_args(argv)
    settings = stage.settings(ProbeSettings, arguments.settings)
    stage.use_threads(arguments.threads)
    train, test = read_manifest(arguments.train), read_manifest(arguments.test)
    rows = probe(arguments.checkpoint, train, test, settings, Compute(arguments.device))
    write_table(Row, arguments.out, rows)
    print(shown(rows), end="")


if __name__ == "__main__":
    stage.run(main)
