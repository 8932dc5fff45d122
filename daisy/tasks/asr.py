"""Speech recognition: linear, bidirectional LSTM, CTC over characters, greedy decoding (MiniSUPERB).

In place of the LSTM there can be a time-delay network, for which upper layers matter more.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daisy.common.compute import deterministic_gpu
from daisy.common.torchaudio_shim import torchaudio
from daisy.common.transfer import handed
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.hubert.branches import frame_entropy
from daisy.tasks.base import Head, Metric, Score, Task, valid
from daisy.tasks.bilstm import BiLSTM
from daisy.tasks.tdnn import TDNN

BLANK = 0
"""CTC's blank; characters are counted from 1."""

WORD, END = " ", "\n"
"""What parts words, and what ends a transcript whose end is marked."""


def steps(frames: Tensor, stride: int) -> Tensor:
    """How many steps of `stride` frames there are, the last one perhaps filled up with zeros."""
    return -(-frames // stride)


def warped(features: Tensor, lengths: Tensor, window: int) -> Tensor:
    """Time warping of SpecAugment, as s3prl and so MiniSUPERB have it.

    Of each utterance a point of time is drawn, and where it goes to, at most `window` frames away; the frames on
    either side of it are stretched or squeezed by cubic interpolation, so that the length stays.

    Args:
        features: (B, T, D).
        lengths: (B,) valid frames; those behind them, and utterances of up to twice the window, stay as they are.
        window: Frames.
    """
    rows = []
    for row, length in zip(features, lengths.tolist(), strict=True):
        if length > 2 * window:
            point = int(torch.randint(window, length - window, ()))
            goal = int(torch.randint(point - window, point + window, ())) + 1
            parts = (row[:point], goal), (row[point:length], length - goal)
            stretch = as_product if deterministic_gpu(features) else interpolated
            row = torch.cat([*(stretch(part, size) for part, size in parts), row[length:]])
        rows.append(row)
    return torch.stack(rows)


def interpolated(part: Tensor, size: int) -> Tensor:
    """(T, D) frames as (size, D), by cubic interpolation over time."""
    # As an image of one channel whose columns, the feature dimensions, keep their number.
    return F.interpolate(part[None, None], (size, part.shape[1]), mode="bicubic", align_corners=False)[0, 0]


def as_product(part: Tensor, size: int) -> Tensor:
    """The same as a product, whose gradient on a GPU is the same every time: (size, T) shares of the frames."""
    with torch.autocast(part.device.type, enabled=False):
        shares = interpolated(torch.eye(len(part), device=part.device), size)
        return (shares @ part.float()).to(part.dtype)


def masked(features: Tensor, lengths: Tensor | None, axis: int, count: int, longest: int, share: float = 1.0) -> Tensor:
    """Masks of SpecAugment: stretches of one axis that become zero.

    A mask's width is drawn from 0 to under `longest`, and where it begins, from where it ends within the axis.

    Args:
        features: (B, T, D).
        lengths: (B,) what of the axis every utterance has, if masks are to lie within; None for the axis itself, as
            in s3prl and so in MiniSUPERB, where widths are drawn first, and the widest decides where all may begin.
        axis: 1 for time, 2 for dimensions.
        count: Masks of every utterance.
        longest: The bound on their width, in frames or dimensions.
        share: The bound on their width, as a share of what the utterance has; only with `lengths`.
    """
    if not count:
        return features
    batch, size = len(features), features.shape[axis]
    if lengths is None:
        widths = torch.randint(0, longest, (batch, count))
        starts = torch.randint(0, max(1, size - int(widths.max())), (batch, count))
    else:
        own = lengths.cpu()[:, None]
        bounds = (own * share).long().clamp(max=longest)
        widths = (torch.rand(batch, count) * bounds).long()
        starts = (torch.rand(batch, count) * (own - widths + 1)).long()
    place = torch.arange(size)
    hidden = ((starts[..., None] <= place) & (place < (starts + widths)[..., None])).any(1)
    return features.masked_fill(handed(hidden.unsqueeze(3 - axis), features.device), 0.0)


def side_by_side(features: Tensor, lengths: Tensor, stride: int) -> Tensor:
    """(B, T, D) frames, `stride` of them beside each other: (B, ceil(T / stride), stride * D)."""
    if stride == 1:
        return features
    batch, total, dim = features.shape
    features = F.pad(torch.where(valid(features, lengths)[..., None], features, 0), (0, 0, 0, -total % stride))
    return features.reshape(batch, -1, stride * dim)


NETWORKS: Mapping[str, type[BiLSTM] | type[TDNN]] = {"lstm": BiLSTM, "tdnn": TDNN}
"""What can lie between the projection and the characters, by the name in a config."""


class CharacterHead(Head):
    """A projection, a network over time, and log-probabilities of characters per step.

    A step is `stride` frames beside each other (1 in MiniSUPERB; s3prl has the same option).

    Args:
        dim: Width of the features.
        projection: Width that the network reads.
        network: Bidirectional LSTM layers (MiniSUPERB), or time-delay ones; a key of `NETWORKS`.
        hidden: Width of the LSTM, per direction, or within a time-delay layer.
        layers: The network's.
        dropout: Between its layers and behind it.
        stride: Frames in a step.
        characters: Classes beside the blank.
    """

    def __init__(
        self,
        dim: int,
        projection: int,
        network: str,
        hidden: int,
        layers: int,
        dropout: float,
        stride: int,
        characters: int,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.projection = nn.Linear(dim * stride, projection)
        over_time = NETWORKS[network](projection, hidden, layers, dropout)
        # Under its own name, so that models from before there was a choice, which have an `lstm`, can be read.
        self.add_module(network, over_time)
        self.kind = network
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(over_time.width, characters + 1)

    @property
    def network(self) -> BiLSTM | TDNN:
        """What lies between the projection and the characters."""
        return cast("BiLSTM | TDNN", getattr(self, self.kind))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) to log-probabilities (B, ceil(T / stride), characters + 1)."""
        features = side_by_side(features, lengths, self.stride)
        out = self.network(self.projection(features), steps(lengths, self.stride))
        return self.classifier(self.dropout(out)).log_softmax(-1)

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the linear layers and the network."""
        linear = self.projection.weight.numel() + self.classifier.weight.numel()
        count = -(-frames // self.stride)
        return count * linear + self.network.macs(count)


class CharacterExit(Head):
    """Log-probabilities of characters per step of `stride` frames, by one linear layer."""

    def __init__(self, dim: int, stride: int, characters: int) -> None:
        super().__init__()
        self.stride = stride
        self.classifier = nn.Linear(dim * stride, characters + 1)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) to log-probabilities (B, ceil(T / stride), characters + 1)."""
        return self.classifier(side_by_side(features, lengths, self.stride)).log_softmax(-1)

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the linear layer."""
        return -(-frames // self.stride) * self.classifier.weight.numel()


class SpeechRecognition(Task):
    """What is said?"""

    name = "asr"
    title = "Speech recognition"
    metrics = (Metric("wer", "Word error rate (%)", False, 100.0),)
    between: ClassVar[str] = ""
    """What stands between two symbols of a transcript."""

    def __init__(self, options: Mapping[str, Any], vocabulary: Sequence[str]) -> None:
        super().__init__(options, vocabulary)
        # Models that were trained before there was the choice do not have it.
        self.ending = WORD + END if self.options.get("end_marks") else ""
        self.symbols = list(dict.fromkeys([*self.vocabulary, *self.ending]))

    @classmethod
    def learn_vocabulary(cls, train: Manifest) -> list[str]:
        """The symbols of the training transcripts, sorted.

        Raises:
            DaisyError: if there are no transcripts.
        """
        symbols = sorted({symbol for item in train.utterances for symbol in cls.spelt(item.text)})
        if not symbols:
            raise DaisyError(
                "no transcripts", file=train.root, fix=f"Give the corpus of {cls.name} a text per recording"
            )
        return symbols

    @classmethod
    def spelt(cls, text: str) -> list[str]:
        """The symbols of a transcript: its characters."""
        return list(text)

    def head(self, dim: int) -> CharacterHead:
        """A fresh head."""
        o = self.options
        network = o.get("network", "lstm")  # phone recognition and models from before there was a choice do not say
        return CharacterHead(
            dim, o["projection"], network, o["hidden"], o["layers"], o["dropout"], o["stride"], len(self.symbols)
        )

    def exit_head(self, dim: int) -> CharacterExit:
        """A fresh linear head for CTC."""
        return CharacterExit(dim, self.options["stride"], len(self.symbols))

    def uncertainty(self, output: Tensor, lengths: Tensor) -> Tensor:
        """The entropy over characters and the blank, the mean over an utterance's steps (B,)."""
        count = handed(steps(lengths, self.options["stride"]), output.device)
        # Log-probabilities are logits of the same posterior.
        return torch.where(valid(output, count), frame_entropy(output), 0).sum(1) / count

    def example(self, manifest: Manifest, index: int) -> str:
        """The transcript. A character that training has not seen counts as an error of recognition.

        Raises:
            DaisyError: if the transcript is empty.
        """
        item = manifest.utterances[index]
        if not item.text:
            raise DaisyError(f"{item.id} has no transcript", file=manifest.root, fix="Add it, or drop the recording")
        return item.text

    def unlearnable(self, manifest: Manifest, frames: Sequence[int]) -> list[str]:
        """The utterances whose transcripts do not fit into their steps, for which CTC's loss is infinite."""
        found = []
        for item, count in zip(manifest.utterances, frames, strict=True):
            text = self.spelt(item.text + self.ending)
            # A blank must stand between two equal symbols.
            least = len(text) + sum(one == other for one, other in itertools.pairwise(text))
            given = -(-int(count) // self.options["stride"])
            if least > given:
                found.append(f"{item.id} ({least} for {given})")
        return found

    def loss(self, output: Tensor, lengths: Tensor, examples: Sequence[str]) -> Tensor:
        """CTC, the mean over utterances of the loss per symbol; marks of the end are symbols too.

        A transcript that does not fit into its steps has a loss of zero (`unlearnable` names them).
        """
        place = {symbol: number for number, symbol in enumerate(self.symbols, start=1)}
        targets = [torch.tensor([place[symbol] for symbol in self.spelt(text + self.ending)]) for text in examples]
        sizes = torch.tensor([len(item) for item in targets])
        reduced = steps(lengths, self.options["stride"])
        # CTC's gradient has no kernel on a GPU that gives the same numbers every time.
        given = output.cpu() if deterministic_gpu(output) else output
        loss = F.ctc_loss(
            given.transpose(0, 1), handed(torch.cat(targets), given.device), reduced, sizes, BLANK, zero_infinity=True
        )
        return loss.to(output.device)

    def predict(self, output: Tensor, lengths: Tensor, waves: Sequence[Tensor] = ()) -> list[str]:
        """Greedy decoding: the best symbol per frame; repeats, blanks and marks of the end taken out."""
        texts = []
        for best, length in zip(output.argmax(-1).cpu(), steps(lengths, self.options["stride"]).tolist(), strict=True):
            kept = torch.unique_consecutive(best[:length])
            text = self.between.join(self.symbols[number - 1] for number in kept.tolist() if number != BLANK)
            texts.append(text.replace(END, "").strip(WORD) if self.ending else text)
        return texts

    def score(self, prediction: str, example: str) -> Score:
        """Errors of words, and words."""
        words = example.split()
        errors = torchaudio.functional.edit_distance(words, prediction.split())
        return {self.metrics[0].name: (float(errors), float(len(words)))}

    def augment(self, features: Tensor, lengths: Tensor) -> Tensor:
        """SpecAugment on the features: time is warped, stretches of time and of feature dimensions are masked."""
        o = self.options["specaugment"]
        if o.get("warp_frames"):
            features = warped(features, lengths, o["warp_frames"])
        own = None if o.get("masks_over") == "batch" else lengths
        features = masked(features, own, 1, o["time_masks"], o["time_frames"], o["time_share"])
        return masked(features, None, 2, o["feature_masks"], o["feature_dims"])


TASK = SpeechRecognition
