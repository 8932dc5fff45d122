"""Speech separation: two masks on a mixture of two speakers, utterance-level PIT, SI-SDRi (MiniSUPERB)."""

from __future__ import annotations

from torch import Tensor

from daisy.tasks.audio_metrics import si_sdr_improvement
from daisy.tasks.base import Metric, Score
from daisy.tasks.masking import MaskingTask, Sources, Stft, rate


class SpeechSeparation(MaskingTask):
    """What do two speakers who talk at once say?"""

    name = "ss"
    title = "Speech separation"
    metrics = (Metric("si_sdri", "SI-SDR improvement (dB)", True),)
    sources = 2
    spectrum = Stft(n_fft=1024, window=1024, hop=320)

    def errors(self, difference: Tensor) -> Tensor:
        """Squared error."""
        return difference.square()

    def targets(self, references: Tensor, mixture: Tensor) -> Tensor:
        """The part of a source's amplitude that is in phase with the mixture, and none where it is opposed.

        The non-negative phase-sensitive target of MiniSUPERB's public code: the estimate takes the
        mixture's phase, and a full amplitude at a wrong phase would do harm.
        """
        # |r| cos(angle between r and m), without the slow angles.
        return ((references * mixture.conj()).real / mixture.abs().clamp(min=1e-8)).clamp(min=0)

    def score(self, prediction: Tensor, example: Sources) -> Score:
        """SI-SDR gained over the mixture."""
        return {"si_sdri": rate(si_sdr_improvement(prediction, example.references, example.mixture))}


TASK = SpeechSeparation
