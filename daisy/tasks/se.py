"""Speech enhancement: a mask on the noisy spectrum, L1 on log1p amplitude, PESQ and STOI (MiniSUPERB)."""

from __future__ import annotations

from torch import Tensor

from daisy.tasks.audio_metrics import pesq_wideband, short_time_intelligibility
from daisy.tasks.base import Metric, Score
from daisy.tasks.masking import MaskingTask, Sources, Stft, rate


class SpeechEnhancement(MaskingTask):
    """What does the speech sound like without the noise?"""

    name = "se"
    title = "Speech enhancement"
    metrics = (Metric("pesq", "PESQ (wide-band)", True), Metric("stoi", "STOI (%)", True, 100.0))
    sources = 1
    spectrum = Stft(n_fft=512, window=400, hop=160)

    def errors(self, difference: Tensor) -> Tensor:
        """L1."""
        return difference.abs()

    def targets(self, references: Tensor, mixture: Tensor) -> Tensor:
        """The clean amplitudes."""
        return references.abs()

    def score(self, prediction: Tensor, example: Sources) -> Score:
        """PESQ and STOI against the clean speech."""
        estimate, reference = prediction[0], example.references[0]
        return {
            "pesq": rate(pesq_wideband(estimate, reference)),
            "stoi": rate(short_time_intelligibility(estimate, reference)),
        }


TASK = SpeechEnhancement
