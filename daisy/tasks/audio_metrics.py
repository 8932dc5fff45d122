"""How close an estimate comes to a reference signal: PESQ and STOI by their libraries, and SI-SDR.

All signals are at 16 kHz. PESQ and STOI need a fraction of a second of speech; a recording whose
reference has less is not counted, whatever the estimate, so that all methods are judged by the same ones.
"""

from __future__ import annotations

import itertools
import warnings

import torch
from pesq import PesqError, pesq
from pystoi import stoi
from torch import Tensor

from daisy.common.audio import SAMPLE_RATE

WORST_PESQ = 1.0
"""For an estimate that PESQ cannot read, such as silence, though it can read the reference. The scale of
ITU-T P.862.2 starts there."""


def pesq_wideband(estimate: Tensor, reference: Tensor) -> float | None:
    """Wide-band PESQ (ITU-T P.862.2, 1 to 4.64) of (samples,) against (samples,); None if not counted."""
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
