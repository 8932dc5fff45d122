"""The class `Daisy`, DAISY as a library: waveforms in, early-exit features out.

import daisy

model = daisy.load("daisy.safetensors")
out = model(waveforms, rho=0.76, strategy="avg", task="asr")
out.features[0].shape  # (k + 1, T, D)
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from daisy.common.audio import LOUDEST
from daisy.common.transfer import Fetched
from daisy.errors import DaisyError
from daisy.exits.calibration import Calibration
from daisy.exits.request import resolve
from daisy.exits.signals import ENTROPY, check_signal, signal_of
from daisy.hubert import checkpoint as checkpoints
from daisy.hubert.config import HubertConfig
from daisy.hubert.early_exit import EarlyExitHubert, Exit, Granularity, WindowExit
from daisy.hubert.encoder import Padding
from daisy.hubert.graphs import Compiled
from daisy.hubert.signals import every_signal
from daisy.hubert.windows import LONGEST, Windows
from daisy.library import shipped
from daisy.library.stream import Stream

RATE = 16_000
"""Samples in a second."""

Kept = Literal["all", "last"]
"""The states of which features consist."""


@dataclasses.dataclass(frozen=True)
class Output:
    """What a batch of utterances got; all lists are in the order of the waveforms.

    Attributes:
        features: Per utterance (k + 1, T, D): state 0 (what the front end gives), then h_1 to h_k. T frames
            of `config.hop` samples (20 ms in published models), D the model's width; on the model's device, in its
            precision.
        exit_layer: Per utterance k, the layer at which it stopped, from 1.
        entropies: Per utterance one mean entropy in nats per layer, or the signal that was asked for in its place; NaN
            where no branch was asked.
        windows: Per utterance its windows' frames, exits and entropies, if each window stopped by itself. Then k is the
            largest of theirs, and states that a window did not reach are zero in it.
    """

    features: list[Tensor]
    exit_layer: list[int]
    entropies: list[list[float]]
    windows: list[list[WindowExit]] = dataclasses.field(default_factory=list)


class Daisy:
    """A frozen HuBERT that can stop early.

    Args:
        checkpoint: What `daisy.load` read.
    """

    def __init__(self, checkpoint: checkpoints.Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._upstream = EarlyExitHubert(checkpoint)
        self._compiled: Compiled | None = None

    @property
    def config(self) -> HubertConfig:
        """The encoder's shape."""
        return self.checkpoint.encoder.config

    @property
    def layers(self) -> int:
        """K, the number of transformer layers."""
        return self.config.layers

    @property
    def dim(self) -> int:
        """D, the width of the hidden states."""
        return self.config.dim

    @property
    def calibrations(self) -> Mapping[str, Calibration]:
        """Thresholds and training histograms by task; empty if the checkpoint has none."""
        return self.checkpoint.calibrations

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.checkpoint.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.checkpoint.encoder.dtype

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Daisy:
        """Move the model to a device, or to another precision (``torch.float32``, ``torch.bfloat16``).

        Entropies are computed in float32 whatever the precision of the rest.

        Returns:
            The model itself.

        Raises:
            DaisyError: if there is no such device.
        """
        if device is not None:
            check_device(device)
        self.checkpoint.to(device, dtype)
        if self._compiled is not None:
            self._compiled.forget()
        return self

    def compile(self, *, step: float = 0.5, lengths: int = 32, longest: float = 30.0, ahead: int = 1) -> Daisy:
        """Make calls with one recording fast on a GPU, whose launches then are recorded once per length.

        It concerns calls with a single waveform and exact padding that stop by entropy; others, and all on a CPU, stay
        as they are. What a call gets is the same but for rounding. The first recording of a length takes a second or
        so. Weights must not change afterwards, except by `to`; after any other change, compile again.

        Args:
            step: Lengths are padded to a multiple of so many seconds, exactly by masks.
            lengths: Of so many padded lengths the records are kept; all share one pool of memory.
            longest: Longer recordings, in seconds, pass as ever: there a GPU has enough to do.
            ahead: Layers that are launched before the decision at a candidate is known. With 0 the GPU waits at each
                candidate; with 1 an utterance that stops has cost one layer more.

        Returns:
            The model itself.

        Raises:
            DaisyError: if a number makes no sense.
        """
        if min(step, lengths, longest) <= 0 or ahead < 0:
            raise DaisyError(
                f"compile(step={step}, lengths={lengths}, longest={longest}, ahead={ahead})",
                fix="Pass positive numbers, and for ahead 0 or more",
            )
        self._compiled = Compiled(self.checkpoint, max(1, round(step * RATE)), lengths, ahead, round(longest * RATE))
        return self

    @torch.no_grad()
    def __call__(
        self,
        waveforms: Sequence[Tensor | np.ndarray],
        *,
        rho: float | None = None,
        strategy: str | None = None,
        task: str | None = None,
        threshold: float | None = None,
        layer: int | None = None,
        budget: float | None = None,
        signal: str | None = None,
        granularity: Granularity = "utterance",
        padding: Padding = "exact",
        window: float = LONGEST,
        states: Kept = "all",
    ) -> Output:
        """Run a batch of utterances, each until it stops.

        Where it may stop is said in one of five ways:

        - ``rho``, ``strategy`` and ``task``: threshold and candidate layers of a calibrated task;
        - ``threshold``: in nats, with every layer a candidate;
        - ``layer``: always there (needs no branches);
        - ``budget`` and ``task``: the threshold at which recordings like those of the task's calibration spend, on
          average, that share of the full model's arithmetic (`stream` makes up for others);
        - nothing: at the last layer.

        Args:
            waveforms: One (N,) float tensor or array per utterance, 16 kHz, one channel, values between -1 and 1.
            rho: The scale of the task's threshold; the paper's are 0.7, 0.76 and 1.0.
            strategy: ``avg``, ``min-max`` or ``threshold``.
            task: Whose calibration.
            threshold: In nats, or in the signal's unit.
            layer: From 1.
            budget: A share, up to 1.
            signal: What branches are asked for (`daisy.exits.signals`): by default what the task's threshold was
                calibrated for, and entropy with a threshold of yours.
            granularity: Whether every utterance exits for itself, the whole batch at once, or every window of a long
                recording for itself.
            padding: How utterances of several lengths are computed; with ``exact`` each gets what it gets alone.
            window: In seconds. Longer recordings pass the layers in overlapping windows of this length, so that time
                and memory grow with their length and not with its square; with ``math.inf`` none does.
            states: Whether features hold ``all`` states or the ``last`` one alone, (1, T, D), for less memory.

        Raises:
            DaisyError: if the request is contradictory or names what is not there, the model lacks branches or that
                calibration, or a waveform or a window is none.
        """
        candidates, tau = self.exits(
            rho=rho, strategy=strategy, task=task, threshold=threshold, layer=layer, budget=budget
        )
        asked = signal_of(self.calibrations, task, signal)
        return self.run(waveforms, candidates, tau, asked, granularity, padding, window, states)

    @torch.no_grad()
    def run(
        self,
        waveforms: Sequence[Tensor | np.ndarray],
        candidates: Sequence[int],
        tau: float,
        signal: str = ENTROPY,
        granularity: Granularity = "utterance",
        padding: Padding = "exact",
        window: float = LONGEST,
        states: Kept = "all",
    ) -> Output:
        """The same with candidate layers and threshold as they stand, such as `exits` gives.

        Raises:
            DaisyError: if there is no such signal, granularity, padding or choice of states, or a waveform or the
                window is none.
            ValueError: if a candidate is no layer, or there are several and no branches.
        """
        _check_choice("granularity", granularity, Granularity)
        _check_choice("padding", padding, Padding)
        _check_choice("states", states, Kept)
        windows = Windows(window)
        plain = padding == "exact" and signal == ENTROPY and states == "all" and granularity != "window"
        with self._given(waveforms) as waves:
            if not waves:
                return Output([], [], [])
            compiled = self._compiled if plain and len(waves[0]) <= window * RATE else None
            if compiled is not None and compiled.serves(waves):
                return _output([compiled.run(waves[0], candidates=candidates, tau=tau)])
            items = self.upstream(signal).run(
                waves,
                candidates=candidates,
                tau=tau,
                granularity=granularity,
                padding=padding,
                windows=windows,
                latest=states == "last",
            )
        return _output(items)

    def upstream(self, signal: str = ENTROPY) -> EarlyExitHubert:
        """The model's forward pass, whose branches are asked for a signal.

        Raises:
            DaisyError: if there is no such signal.
        """
        return self._upstream if signal == ENTROPY else EarlyExitHubert(self.checkpoint, signal)

    def stream(self, budget: float, task: str) -> Stream:
        """The model for recordings that come one after the other, which keeps to a budget while their noise changes.

        Args:
            budget: The share of the full model's arithmetic, up to 1.
            task: Whose calibration.

        Raises:
            DaisyError: if the budget cannot be kept, or the model lacks branches or that calibration.
        """
        return Stream(self, budget, task)

    @torch.no_grad()
    def all_layers(self, waveforms: Sequence[Tensor | np.ndarray], *, window: float = LONGEST) -> Output:
        """Every layer's states and, if there are branches, every layer's entropy; nothing stops early."""
        windows = Windows(window)
        with self._given(waveforms) as waves:
            return _output(self._upstream.all_layers(waves, windows)) if waves else Output([], [], [])

    @torch.no_grad()
    def measured(self, waveforms: Sequence[Tensor | np.ndarray], signal: str = ENTROPY) -> list[list[float]]:
        """What the branch of every layer says of each utterance: (K,) of a signal; nothing stops early.

        Raises:
            DaisyError: if there is no such signal, the model lacks branches, or a waveform is none.
        """
        check_signal(signal)
        if self.checkpoint.branches is None:
            raise DaisyError("the model has no exit branches", fix="Use a DAISY checkpoint")
        if signal == ENTROPY:
            return self.all_layers(waveforms).entropies
        branches, position = self.checkpoint.branches, self.checkpoint.position
        with self._given(waveforms) as waves:
            (values,) = every_signal(self.checkpoint.encoder, waves, branches, position, [signal])
        return values.tolist()

    @contextlib.contextmanager
    def _given(self, waveforms: Sequence[Tensor | np.ndarray]) -> Iterator[list[Tensor]]:
        """The waveforms as tensors on the model's device, each found to be one.

        What lies on a GPU already is looked at beside the pass, which is inside: to ask before would be to wait.
        """
        waves = as_tensors(waveforms)
        # A model that normalises its input does not mind the scale.
        judge = look(waves, math.inf if self.config.normalize else LOUDEST)
        later = any(wave.is_cuda for wave in waves)
        if not later:
            judge()
        yield [wave.to(self.device) for wave in waves]
        if later:
            judge()

    def exits(
        self,
        *,
        rho: float | None = None,
        strategy: str | None = None,
        task: str | None = None,
        threshold: float | None = None,
        layer: int | None = None,
        budget: float | None = None,
    ) -> tuple[tuple[int, ...], float]:
        """The candidate layers and the threshold in nats that a call with these arguments uses.

        Raises:
            DaisyError: as the call does.
        """
        return resolve(
            self.layers,
            self.calibrations,
            self.checkpoint.branches is not None,
            rho=rho,
            strategy=strategy,
            task=task,
            threshold=threshold,
            layer=layer,
            budget=budget,
        )


def _check_choice(name: str, value: object, kind: Any) -> None:
    if value not in get_args(kind):
        raise DaisyError(f"{name} is {value!r}", fix=f"Use {', '.join(map(repr, get_args(kind)))}")


def _output(items: Sequence[Exit]) -> Output:
    return Output(
        [item.states for item in items],
        [item.layer for item in items],
        [item.entropies for item in items],
        [item.windows for item in items if item.windows],
    )


def as_tensors(waveforms: Sequence[Tensor | np.ndarray]) -> list[Tensor]:
    """The waveforms as tensors.

    Raises:
        DaisyError: if one is no 1-D float tensor or array.
    """
    if isinstance(waveforms, Tensor | np.ndarray):
        kind = "tensor" if isinstance(waveforms, Tensor) else "array"
        raise DaisyError(f"waveforms is one {kind}", fix=f"Pass a list of 1-D {kind}s, without padding")
    return [_tensor(wave, number) for number, wave in enumerate(waveforms)]


def _tensor(wave: object, number: int) -> Tensor:
    """A waveform of a kind that there is, as a tensor of floating-point numbers."""
    if isinstance(wave, Tensor | np.ndarray) and wave.ndim == 1:
        if isinstance(wave, Tensor) and wave.is_floating_point():
            return wave
        if isinstance(wave, np.ndarray) and wave.dtype.kind == "f":
            return torch.from_numpy(np.array(wave, dtype=np.float32))  # a copy: others may be reversed, or read-only
    fix = "Pass 1-D float tensors or arrays: one channel at 16 kHz"
    if not isinstance(wave, Tensor | np.ndarray):
        raise DaisyError(f"waveform {number} is {type(wave).__name__}", fix=fix)
    kind = "tensor" if isinstance(wave, Tensor) else "array"
    if wave.ndim == 1:
        fix = "Pass floats between -1 and 1: divide integers by what is full scale, such as 32768"
    raise DaisyError(f"waveform {number} is a {wave.dtype} {kind} {tuple(wave.shape)}", fix=fix)


def look(waves: Sequence[Tensor], loudest: float) -> Callable[[], None]:
    """Look at what waveforms hold.

    Args:
        waves: (N,) each.
        loudest: The bound on their values.

    Returns:
        What raises DaisyError if one holds NaN, infinity, or numbers far beyond 1. On a GPU it waits for the answer,
        and for nothing that was begun after this call.
    """
    # NaN if one sample is; and an hour is not copied.
    found = [(number, Fetched([torch.stack(wave.aminmax())])) for number, wave in enumerate(waves) if len(wave)]

    def judge() -> None:
        for number, ends in found:
            lowest, highest = ends.arrived()[0].tolist()
            if not math.isfinite(lowest) or not math.isfinite(highest):
                raise DaisyError(f"waveform {number} holds NaN or infinity", fix="Drop or repair the recording")
            if (peak := max(-lowest, highest)) > loudest:
                raise DaisyError(
                    f"waveform {number} reaches {peak:g}, far beyond 1, as integers do",
                    fix="Divide it by what is full scale, such as 32768",
                )

    return judge


def check_device(device: str | torch.device) -> None:
    """Find out whether torch can use a device.

    Raises:
        DaisyError: if there is no such kind of device, or this machine has none.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        kinds = "cpu, or cuda where there is a GPU"
        reason = " ".join(str(error).split()).partition(". ")[0][:80]
        raise DaisyError(f"this machine has no device {str(device)!r} ({reason})", fix=f"Use {kinds}") from None


def load(path: str | Path, *, heads: int | None = None) -> Daisy:
    """Read a HuBERT or DAISY checkpoint of any known format, or a model that ships: ``daisy.load("tiny")``.

    fairseq, the published DAISY format, daisy's safetensors, torchaudio state dicts, and folders that
    transformers wrote; the format is found by content.

    Args:
        path: The file or folder, or the name of a model that ships.
        heads: The number of attention heads, for torchaudio's weights of a width that no published model has.

    Returns:
        The model as float32 on the CPU.

    Raises:
        DaisyError: if it cannot be read, with what is wrong and what to do.
    """
    return Daisy(shipped.read(path, heads))
