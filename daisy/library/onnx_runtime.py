"""Run exported ONNX segments with a real early exit: numpy and ONNX Runtime, no torch.

from daisy.library.onnx_runtime import OnnxDaisy

model = OnnxDaisy("daisy-onnx")
out = model(wave, rho=0.76, strategy="avg", task="asr")
"""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np

from daisy.common.files import read_json
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration, from_plain
from daisy.exits.request import resolve
from daisy.exits.rule import ExitRule
from daisy.exits.signals import ENTROPY


@dataclasses.dataclass(frozen=True)
class Features:
    """What one recording got.

    Attributes:
        features: (k + 1, T, D) float32: state 0, then h_1 to h_k.
        exit_layer: k, the layer at which it stopped.
        entropies: E_1 to E_K in nats, or the signal that the folder was exported for; NaN where no branch was asked.
    """

    features: np.ndarray
    exit_layer: int
    entropies: list[float]


class OnnxDaisy:
    """An exported model; later segments are loaded when first needed.

    Args:
        folder: What ``daisy export-onnx`` wrote.
        threads: CPU threads; 0 for ONNX Runtime's own choice.

    Raises:
        DaisyError: if the folder holds no such model, or ONNX Runtime is missing.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise DaisyError("ONNX Runtime is missing", fix="Install daisy with its extra: daisy-ssl[onnx]")
        import onnxruntime

        self.folder = Path(folder)
        description = read_json(self.folder / "daisy.json")
        self.layers: int = description["layers"]
        self.has_branches: bool = description["branches"]
        self.shortest: int = description["receptive_field"]
        self.signal: str = description.get("signal", ENTROPY)
        try:
            self.calibrations: dict[str, Calibration] = from_plain(description["calibrations"], self.layers)
        except ValueError as error:
            raise DaisyError(str(error), file=self.folder / "daisy.json", fix="Export the model again") from None
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.log_severity_level = 3
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def _run(self, name: str, *values: np.ndarray) -> list[np.ndarray]:
        """What a segment makes of its inputs; of those that are offered, it takes as many as it has."""
        if name not in self._sessions:
            import onnxruntime

            file = self.folder / f"{name}.onnx"
            if not file.is_file():
                raise DaisyError("the segment is missing", file=file, fix="Export the model again")
            self._sessions[name] = onnxruntime.InferenceSession(
                str(file), self._options, providers=["CPUExecutionProvider"]
            )
        session = self._sessions[name]
        return session.run(None, {given.name: value for given, value in zip(session.get_inputs(), values)})  # noqa: B905

    def __call__(
        self,
        waveform: np.ndarray,
        *,
        rho: float | None = None,
        strategy: str | None = None,
        task: str | None = None,
        threshold: float | None = None,
        layer: int | None = None,
        budget: float | None = None,
    ) -> Features:
        """Run one recording until it stops; the options are those of `daisy.library.model.Daisy`.

        Args:
            waveform: (N,) float at 16 kHz.
            rho: The scale of a calibrated task's threshold.
            strategy: Which layers are candidates.
            task: Whose calibration.
            threshold: In nats or in the unit of `signal`, the one that was exported, with every layer a candidate.
            layer: Always there.
            budget: The share of the full model's arithmetic to spend on average, with `task`.

        Raises:
            DaisyError: if the request is contradictory, or the waveform is none.
        """
        candidates, tau = resolve(
            self.layers,
            self.calibrations,
            self.has_branches,
            rho=rho,
            strategy=strategy,
            task=task,
            threshold=threshold,
            layer=layer,
            budget=budget,
        )
        wave = np.asarray(waveform)
        if wave.ndim != 1 or len(wave) < self.shortest or wave.dtype.kind != "f" or not np.isfinite(wave).all():
            raise DaisyError(
                f"the waveform is {wave.dtype} {wave.shape}, or holds NaN",
                fix=f"Pass at least {self.shortest} float samples of one channel at 16 kHz",
            )
        states, x = self._run("front_end", wave[None].astype(np.float32))
        kept, entropies = [states[0]], [float("nan")] * self.layers
        rule = ExitRule(candidates, tau)
        for k in range(1, rule.last + 1):
            x, h = self._run(f"layer-{k:02d}", x)
            kept.append(h[0])
            if rule.asks(k):
                entropies[k - 1] = float(self._run(f"branch-{k:02d}", h, kept[k - 1][None])[0][0])
                if rule.stops(k, np.array(entropies)):
                    break
        return Features(np.stack(kept), k, entropies)
