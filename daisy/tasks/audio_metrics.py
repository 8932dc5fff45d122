"""How close an estimate comes to a reference signal: PESQ and STOI by their libraries, and SI-SDR.

All signals are at 16 kHz. PESQ and STOI need a fraction of a second of speech; a recording whose
reference has less, or is silent, is not counted, whatever the estimate, so that all methods are judged by the same.
Long recordings are judged piece by piece, so that neither time nor memory grows faster than they do.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import torch
from pesq import PesqError, pesq
from pystoi import stoi
from torch import Tensor

from daisy.common.audio import SAMPLE_RATE

WORST_PESQ = 1.0
"""For an estimate that PESQ cannot read, such as silence, though it can read the reference. The scale of
ITU-T P.862.2 starts there."""


PESQ_SECONDS = 20.0
"""The longest signal that PESQ gets at once. ITU-T's code has room for 50 utterances, each with its pause at least
0.404 s, and with more it writes beyond its arrays: a few minutes of words with pauses between them end the process."""

STOI_SECONDS = 300.0
"""The longest signal that STOI gets at once; its library takes about 20 MB for a second."""

STOI_FRAME = 256 * SAMPLE_RATE // 10_000 + 1
"""Samples that make a frame of STOI, which works on 256 samples at 10 kHz."""

SILENCE = 2.0**-16
"""A reference that never leaves its mean by more than half of a step of 16-bit audio holds no speech."""


def mean_of_pieces(
    judge: Callable[[Tensor, Tensor], float | None], estimate: Tensor, reference: Tensor, seconds: float
) -> float | None:
    """The mean of a measure over equal pieces of at most `seconds`, by their length; None if no piece counts."""
    count = max(1, math.ceil(len(reference) / (seconds * SAMPLE_RATE)))
    pieces = zip(estimate.tensor_split(count), reference.tensor_split(count), strict=True)
    values = [(judge(one, other), len(other)) for one, other in pieces]
    counted = [(value, length) for value, length in values if value is not None]
    if len(counted) <= 1:
        return counted[0][0] if counted else None
    return sum(value * length for value, length in counted) / sum(length for _, length in counted)


def silent(reference: Tensor) -> bool:
    """Whether a reference (samples,) holds nothing to be heard."""
    return len(reference) == 0 or float((reference - reference.mean()).abs().max()) < SILENCE


def pesq_wideband(estimate: Tensor, reference: Tensor) -> float | None:
    """Wide-band PESQ (ITU-T P.862.2, 1 to 4.64) of (samples,) against (samples,); None if not counted."""
    return mean_of_pieces(_pesq_of_piece, estimate, reference, PESQ_SECONDS)


def _pesq_of_piece(estimate: Tensor, reference: Tensor) -> float | None:
    if silent(reference):
        return None
    value = _pesq(reference, estimate)
    if value is None and _pesq(reference, reference) is not None:
        return WORST_PESQ
    return value


def _pesq(reference: Tensor, estimate: Tensor) -> float | None:
    try:
        return float(pesq(SAMPLE_RATE, reference.numpy(), estimate.numpy(), "wb"))
    except (PesqError, ValueError):
        # Too short, no utterance found, or (as a ValueError) a level of zero.
        return None


def short_time_intelligibility(estimate: Tensor, reference: Tensor) -> float | None:
    """STOI (about 0 to 1) of (samples,) against (samples,); None if not counted."""
    return mean_of_pieces(_stoi_of_piece, estimate, reference, STOI_SECONDS)


def _stoi_of_piece(estimate: Tensor, reference: Tensor) -> float | None:
    if len(reference) < STOI_FRAME or silent(reference):
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = float(stoi(reference.numpy(), estimate.numpy(), SAMPLE_RATE, extended=False))
    # What pystoi warns of is that the reference has under 0.4 s of speech, and its value then means nothing.
    return None if any("Not enough STFT frames" in str(item.message) for item in caught) else value


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019), means removed.

    Args:
        estimate: (..., samples).
        reference: (..., samples), broadcast against `estimate`.

    Returns:
        (...) in dB.
    """
    tiny = torch.finfo(torch.float64).eps
    estimate, reference = estimate.double(), reference.double()
    estimate = estimate - estimate.mean(-1, keepdim=True)
    reference = reference - reference.mean(-1, keepdim=True)
    scale = (estimate * reference).sum(-1, keepdim=True) / (reference.square().sum(-1, keepdim=True) + tiny)
    target = scale * reference
    ratio = (target.square().sum(-1) + tiny) / ((estimate - target).square().sum(-1) + tiny)
    return 10 * ratio.log10()


def best_order(pairwise: Tensor) -> tuple[int, ...]:
    """The order of estimates with the largest sum.

    Args:
        pairwise: (n, n); row e, column r says how well estimate e fits reference r.

    Returns:
        For every reference its estimate.
    """
    count = len(pairwise)
    orders = itertools.permutations(range(count))
    return max(orders, key=lambda order: sum(float(pairwise[order[r], r]) for r in range(count)))


def si_sdr_improvement(estimates: Tensor, references: Tensor, mixture: Tensor) -> float:
    """SI-SDR gained over the mixture, in dB, as the mean over sources in the order that fits best.

    Args:
        estimates: (sources, samples).
        references: (sources, samples).
        mixture: (samples,).
    """
    pairwise = si_sdr(estimates[:, None], references[None])
    order = best_order(pairwise)
    gained = [pairwise[order[r], r] - si_sdr(mixture, references[r]) for r in range(len(references))]
    return float(torch.stack(gained).mean())
