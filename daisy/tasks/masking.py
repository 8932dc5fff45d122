"""What SE and SS share: masks from a bidirectional LSTM, on the mixture's short-time spectrum (MiniSUPERB).

A mask multiplies the mixture's log1p amplitude, ln(1 + |X|), as in MiniSUPERB's public code; the estimate
gets the mixture's phase. Frames of features and of spectra do not number the same: a spectral frame gets its mask
from the frame of features in which it begins, and the last mask stands for the few spectral frames that follow it.

How far frames of features are apart, the model says (`hop` among the options; 20 ms in published models). Spectra are
never further apart than they, as in s3prl and MiniSUPERB, where SS has the upstream's rate.

Shapes: B utterances, T frames, S sources, F = n_fft / 2 + 1 bins.
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Sequence
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from daisy.common.cached import KEPT_SECONDS, Cached
from daisy.common.transfer import handed
from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.hubert.config import HubertConfig
from daisy.tasks.base import Head, Score, Task, valid
from daisy.tasks.bilstm import BiLSTM


@dataclasses.dataclass(frozen=True)
class Stft:
    """A short-time Fourier transform with a Hann window, centred frames, and zeros beyond the signal's ends.

    Attributes:
        n_fft: Length of the transform, in samples.
        window: Length of the window, in samples.
        hop: Samples from one frame to the next.
    """

    n_fft: int
    window: int
    hop: int

    @property
    def bins(self) -> int:
        """F."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """T of a signal."""
        return samples // self.hop + 1

    def __call__(self, signals: Tensor) -> Tensor:
        """(..., samples) to the complex spectrum (..., T, F)."""
        flat = signals.reshape(-1, signals.shape[-1])
        window = torch.hann_window(self.window, dtype=signals.dtype, device=signals.device)
        spectrum = torch.stft(
            flat, self.n_fft, self.hop, self.window, window, pad_mode="constant", return_complex=True
        ).transpose(1, 2)
        return spectrum.reshape(*signals.shape[:-1], *spectrum.shape[1:])

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """The complex spectrum (N, T, F) to signals (N, samples)."""
        window = torch.hann_window(self.window, dtype=spectrum.real.dtype, device=spectrum.device)
        return torch.istft(spectrum.transpose(1, 2), self.n_fft, self.hop, self.window, window, length=samples)


def apply(mask: Tensor, spectrum: Tensor) -> Tensor:
    """Mask the log1p amplitude of a complex `spectrum`, and keep its phase."""
    amplitude = spectrum.abs()
    return torch.polar(torch.expm1(mask * torch.log1p(amplitude)), spectrum.angle())


def permuted(pairwise: Tensor) -> Tensor:
    """Utterance-level permutation-invariant loss (Kolbaek et al., 2017).

    Args:
        pairwise: (B, S, S); row e, column r is the loss of estimate e against reference r.

    Returns:
        (B,) the mean over sources in the order with the smallest one.
    """
    count = pairwise.shape[1]
    sums = [
        sum((pairwise[:, order[r], r] for r in range(count)), start=pairwise.new_zeros(()))
        for order in itertools.permutations(range(count))
    ]
    return torch.stack(sums).amin(0) / count


Count = TypeVar("Count", int, Tensor)


@dataclasses.dataclass(frozen=True)
class Pace:
    """How far frames are apart.

    Attributes:
        features: Samples from one frame of features to the next.
        spectra: Samples from one spectral frame, and so from one mask, to the next.
    """

    features: int
    spectra: int

    def masks(self, frames: Count) -> Count:
        """How many masks there are for some frames of features."""
        return -(-frames * self.features // self.spectra)

    @property
    def most(self) -> int:
        """The most masks that begin within one frame of features."""
        return self.masks(1)

    def spread(self, features: Tensor) -> Tensor:
        """Features (B, T, D), one per mask: (B, `masks` of T, D)."""
        if self.features % self.spectra == 0:
            return features.repeat_interleave(self.features // self.spectra, 1)
        return features[:, self._frames(features)]

    def laid_out(self, groups: Tensor) -> Tensor:
        """Masks (B, T, `most`, ...), those of a frame of features side by side, one after the other."""
        if self.features % self.spectra == 0:
            return groups.flatten(1, 2)
        frame = self._frames(groups)
        place = torch.arange(len(frame), device=groups.device)
        return groups[:, frame, place - self.masks(frame)]

    def _frames(self, features: Tensor) -> Tensor:
        """The frame of features (B, T, ...) in which each mask begins."""
        place = torch.arange(self.masks(features.shape[1]), device=features.device)
        return place * self.spectra // self.features


class MaskHead(Head):
    """Bidirectional LSTM layers on the features, and a sigmoid mask per source.

    Args:
        dim: Width of the features.
        hidden: Width of the LSTM, per direction.
        layers: LSTM layers.
        dropout: Between them, and before the masks.
        sources: S.
        bins: F.
        pace: How the masks number.
        together: Whether the masks that begin within a frame of features come from one step of the LSTM, and not from
            one step each.
    """

    def __init__(
        self, dim: int, hidden: int, layers: int, dropout: float, sources: int, bins: int, pace: Pace, together: bool
    ) -> None:
        super().__init__()
        self.lstm = BiLSTM(dim, hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)
        self.masks = nn.Linear(self.lstm.width, (pace.most if together else 1) * sources * bins)
        self.sources, self.pace, self.together = sources, pace, together

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) to masks (B, `pace.masks` of T, S, F)."""
        if self.together:
            groups = self.masks(self.dropout(self.lstm(features, lengths))).sigmoid()
            return self.pace.laid_out(groups.unflatten(-1, (self.pace.most, self.sources, -1)))
        out = self.dropout(self.lstm(self.pace.spread(features), self.pace.masks(lengths)))
        return self.masks(out).sigmoid().unflatten(-1, (self.sources, -1))

    def macs(self, frames: int) -> int:
        """Multiply-accumulate operations of the LSTM's gates and the linear layer."""
        count = frames if self.together else self.pace.masks(frames)
        return self.lstm.macs(count) + count * self.masks.weight.numel()


@dataclasses.dataclass(frozen=True)
class Sources:
    """A mixture and what it was mixed from: the example of a masking task.

    Attributes:
        mixture: (samples,).
        references: (S, samples).
    """

    mixture: Tensor
    references: Tensor


class MaskingTask(Task):
    """A task that recovers signals from a mixture; a prediction is (S, samples)."""

    sources: ClassVar[int]
    spectrum: ClassVar[Stft]

    @property
    def pace(self) -> Pace:
        """How far frames of features and of spectra are apart."""
        # Models that were trained before any other hop was possible do not have it.
        hop = int(self.options.get("hop", HubertConfig().hop))
        return Pace(hop, min(hop, self.spectrum.hop))

    @property
    def stft(self) -> Stft:
        """The spectrum, no further apart than the features."""
        return dataclasses.replace(self.spectrum, hop=self.pace.spectra)

    def check_hop(self, hop: int) -> None:
        """Check that a model's frames are as far apart as the heads take them to be.

        Raises:
            DaisyError: if not.
        """
        if hop != self.pace.features:
            raise DaisyError(
                f"the model has a frame every {hop} samples, but the task {self.name} was set up for "
                f"{self.pace.features}, since the checkpoint's header does not tell",
                fix="Name a checkpoint whose header does: `daisy convert IN OUT.safetensors` writes one",
            )

    @classmethod
    def learn_vocabulary(cls, train: Manifest) -> list[str]:
        """Nothing: sources have no names."""
        return []

    def head(self, dim: int) -> MaskHead:
        """A fresh head."""
        o = self.options
        together = bool(o.get("together", False))  # models that were trained before there was a choice do not say
        return MaskHead(dim, o["hidden"], o["layers"], o["dropout"], self.sources, self.stft.bins, self.pace, together)

    def examples(self, manifest: Manifest) -> Sequence[Sources]:
        """What `example` gives for every utterance, read when it is asked for.

        Raises:
            DaisyError: if an utterance has another number of reference files.
        """
        for item in manifest.utterances:
            if len(item.references) != self.sources:
                raise DaisyError(
                    f"{item.id} has {len(item.references)} reference files, the task {self.name} needs {self.sources}",
                    file=manifest.root,
                    fix="Name them in the column references of the manifest's table, separated by semicolons",
                )
        keep = manifest.seconds <= KEPT_SECONDS
        return Cached(lambda index: self.example(manifest, index), len(manifest), keep=keep)

    def example(self, manifest: Manifest, index: int) -> Sources:
        """The mixture and its references."""
        return Sources(manifest.wave(index), manifest.references(index))

    @abc.abstractmethod
    def errors(self, difference: Tensor) -> Tensor:
        """The loss of every point of a spectrum, from its difference in log1p amplitude."""

    @abc.abstractmethod
    def targets(self, references: Tensor, mixture: Tensor) -> Tensor:
        """The amplitudes to be reached, from complex spectra of references and mixture, broadcast together."""

    def loss(self, output: Tensor, lengths: Tensor, examples: Sequence[Sources]) -> Tensor:
        """The loss in log1p amplitude, summed over bins and averaged over frames, sources and utterances."""
        samples = [len(example.mixture) for example in examples]
        counts = [self.stft.frames(count) for count in samples]
        masks = self._stretched(output, lengths, max(counts))
        frames = handed(torch.tensor(counts), output.device)
        mixtures = nn.utils.rnn.pad_sequence([example.mixture for example in examples], batch_first=True)
        parts = [example.references.T for example in examples]
        references = nn.utils.rnn.pad_sequence(parts, batch_first=True).transpose(1, 2)
        mixture = self.stft(handed(mixtures, output.device))[:, None]
        wanted = self.stft(handed(references, output.device))
        target = torch.log1p(self.targets(wanted, mixture))
        estimate = masks.transpose(1, 2) * torch.log1p(mixture.abs())
        errors = self.errors(estimate[:, :, None] - target[:, None]).sum(-1)
        pairwise = torch.where(valid(masks, frames)[:, None, None], errors, 0).sum(-1) / frames[:, None, None]
        return permuted(pairwise).mean()

    def predict(self, output: Tensor, lengths: Tensor, waves: Sequence[Tensor] = ()) -> list[Tensor]:
        """The estimated signals (S, samples) of every utterance."""
        results = []
        for place, wave in enumerate(waves):
            spectrum = self.stft(handed(wave, output.device))
            masks = self._stretched(output[place : place + 1], lengths[place : place + 1], len(spectrum))[0]
            results.append(self.stft.inverse(apply(masks.transpose(0, 1), spectrum), len(wave)).cpu())
        return results

    def unprocessed(self, example: Sources) -> Score:
        """What the mixture itself scores."""
        return self.score(example.mixture.expand(self.sources, -1), example)

    def _stretched(self, masks: Tensor, lengths: Tensor, frames: int) -> Tensor:
        """Masks (B, T, S, F) to `frames` frames: each utterance's last one is repeated behind its end."""
        rows = []
        for mask, count in zip(masks, self.pace.masks(lengths).tolist(), strict=True):
            own = mask[: min(count, frames)]
            rows.append(torch.cat([own, own[-1:].expand(frames - len(own), -1, -1)]))
        return torch.stack(rows)


def rate(value: float | None) -> tuple[float, float]:
    """A mean's numerator and denominator; a value that is None does not count."""
    return (0.0, 0.0) if value is None else (value, 1.0)
