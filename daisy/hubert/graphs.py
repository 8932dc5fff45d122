"""One recording at a time on a GPU, with its launches recorded: CUDA graphs.

At batch 1 a GPU waits for the three hundred kernels of a pass to be launched, one by one. Here the steps of a pass over
a padded recording (`daisy.hubert.static`) are recorded once per length step: the front end, each layer, and each check
of a branch. A pass plays them. Since the steps are apart, exits are still taken, and any candidates will do.

A number that is read from a GPU is waited for. So the next layers are played before the decision at a candidate is
known: with one layer ahead, the GPU is never idle, and an utterance that stops has cost one layer more.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daisy.exits.rule import ExitRule
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.early_exit import Exit, rule_of
from daisy.hubert.products import Keeper, precision
from daisy.hubert.static import StaticPass

Play = Callable[[], None]


class Recorded:
    """The steps of one padded length as CUDA graphs.

    Args:
        steps: The pass.
        pool: The graphs' memory, which those of all lengths share: they are played one after another on one stream, and
            what one leaves for a later one is held.
        stream: On which they are recorded: the same for all, since what was freed on one is not given out on another.
    """

    def __init__(self, steps: StaticPass, pool: Any, stream: torch.cuda.Stream) -> None:
        # A graph reads where weights and their layouts lay when it was recorded, whatever becomes of them.
        modules = [*steps.encoder.modules(), *([] if steps.branches is None else [steps.branches])]
        stream.wait_stream(torch.cuda.current_stream())
        device, kind = "cuda", torch.get_autocast_dtype("cuda")
        enabled = torch.is_autocast_enabled(device)
        # What autocast keeps would come to lie in a graph's memory.
        with torch.cuda.stream(stream), torch.autocast(device, kind, enabled=enabled, cache_enabled=False):
            for _ in range(2):  # lays out the weights, and lets libraries set themselves up
                self._run(steps, lambda name, work: work())
            torch.cuda.synchronize()
            self._held = [module._kept for module in modules if isinstance(module, Keeper)]
            self._weights = [weight.detach() for module in modules for weight in module.parameters(recurse=False)]
            self._graphs: dict[tuple[str, int], torch.cuda.CUDAGraph] = {}

            def record(name: tuple[str, int], work: Play) -> None:
                graph = torch.cuda.CUDAGraph()
                # Other threads, that read audio say, may go on meanwhile.
                graph.capture_begin(pool=pool, capture_error_mode="thread_local")
                try:
                    work()
                finally:
                    graph.capture_end()
                self._graphs[name] = graph

            self._run(steps, record)
        torch.cuda.current_stream().wait_stream(stream)
        self._steps = steps  # whose tensors the graphs write

    @staticmethod
    def _run(steps: StaticPass, do: Callable[[tuple[str, int], Play], None]) -> None:
        """Do every step, in the order in which passes play them."""
        do(("front end", 0), steps.front_end)
        for k in range(1, steps.encoder.config.layers + 1):
            do(("layer", k), lambda k=k: steps.layer(k))  # type: ignore[misc]
            if steps.branches is not None:
                do(("check", k), lambda k=k: steps.check(k))  # type: ignore[misc]

    def play(self, name: str, k: int = 0) -> None:
        """Launch a step."""
        self._graphs[name, k].replay()


class Unrecorded:
    """The same steps, launched kernel by kernel: for a device without graphs."""

    def __init__(self, steps: StaticPass) -> None:
        self._steps = steps

    def play(self, name: str, k: int = 0) -> None:
        """Do a step."""
        if name == "front end":
            self._steps.front_end()
        else:
            {"layer": self._steps.layer, "check": self._steps.check}[name](k)


class Answers:
    """Entropies on their way from a device, each read when it is needed and not before.

    Args:
        entropies: (K,), written on the device.
    """

    def __init__(self, entropies: Tensor) -> None:
        self._entropies, self._on_gpu = entropies, entropies.is_cuda
        self._here = torch.empty(entropies.shape, pin_memory=self._on_gpu)
        self._events: dict[int, torch.cuda.Event] = {}

    def send(self, k: int) -> None:
        """Let E_k come, behind what the device has been given to do."""
        self._here[k - 1 : k].copy_(self._entropies[k - 1 : k], non_blocking=True)
        if self._on_gpu:
            self._events[k] = self._events.get(k) or torch.cuda.Event()
            self._events[k].record()

    def read(self, k: int) -> float:
        """E_k, as soon as it is there."""
        if self._on_gpu:
            self._events[k].synchronize()
        return float(self._here[k - 1])


class Compiled:
    """Passes over one recording, with real exits.

    Args:
        checkpoint: The encoder and, if exits are wanted, the branches. Its weights must not change.
        step: Lengths are padded to a multiple of so many samples.
        kept: Lengths whose graphs are kept; the one that was not used for longest goes first.
        ahead: Layers that are launched before the decision at a candidate is known.
        longest: Recordings of more samples are none of its business.
    """

    def __init__(self, checkpoint: Checkpoint, step: int, kept: int, ahead: int, longest: int = 480_000) -> None:
        self.checkpoint, self.step, self.kept, self.ahead = checkpoint, step, kept, ahead
        self.longest = longest
        self._known: collections.OrderedDict[
            tuple[int, torch.dtype | None], tuple[StaticPass, Recorded | Unrecorded, Answers]
        ] = collections.OrderedDict()
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Drop all graphs: the weights are others now, or elsewhere."""
        self._known.clear()
        self._pool = self._stream = None

    def serves(self, waves: Sequence[Tensor]) -> bool:
        """Whether a batch is one recording on a GPU, of a length for which graphs pay."""
        if len(waves) != 1 or not waves[0].is_cuda or torch.cuda.is_current_stream_capturing():
            return False
        with torch.no_grad():
            able = precision(self.checkpoint.encoder.encoder.layer_norm.weight) is not None
        return able and self.checkpoint.encoder.config.receptive_field <= len(waves[0]) <= self.longest

    def _of(self, samples: int) -> tuple[StaticPass, Recorded | Unrecorded, Answers]:
        """The steps for a recording of so many samples, and where their entropies come."""
        device = self.checkpoint.device
        padded = -(-samples // self.step) * self.step
        autocast = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
        key = padded, autocast
        if key not in self._known:
            while len(self._known) >= self.kept:
                self._known.popitem(last=False)
            steps = StaticPass(self.checkpoint.encoder, self.checkpoint.branches, self.checkpoint.position, padded)
            self._known[key] = steps, self._record(steps), Answers(steps.entropies)
        self._known.move_to_end(key)
        return self._known[key]

    def _record(self, steps: StaticPass) -> Recorded | Unrecorded:
        if not steps.wave.is_cuda:
            return Unrecorded(steps)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        self._stream = self._stream or torch.cuda.Stream()
        return Recorded(steps, self._pool, self._stream)

    def run(self, wave: Tensor, *, candidates: Sequence[int], tau: float) -> Exit:
        """Run a recording until it stops, as `daisy.hubert.early_exit.EarlyExitHubert.run` does.

        Args:
            wave: (N,) samples at 16 kHz, one frame's receptive field at least.
            candidates: Layers, from 1, at which it may stop.
            tau: The threshold in nats.

        Raises:
            ValueError: as there.
        """
        rule = rule_of(candidates, tau, self.checkpoint.encoder.config.layers, self.checkpoint.branches is not None)
        device = self.checkpoint.device
        on_it = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
        with torch.inference_mode(False), torch.no_grad(), on_it:
            steps, player, answers = self._of(len(wave))
            frames = steps.give(wave)
            layer, entropies = self._until_exit(rule, player, answers, self.checkpoint.encoder.config.layers)
            return Exit(layer, steps.states[: layer + 1, :frames].clone(), entropies)

    def _until_exit(
        self, rule: ExitRule, player: Recorded | Unrecorded, answers: Answers, layers: int
    ) -> tuple[int, list[float]]:
        """Play until the recording stops: at which layer, and the entropies of those that were asked."""
        measured = np.full((1, layers), np.nan)
        waiting: collections.deque[int] = collections.deque()
        player.play("front end")
        for k in range(1, rule.last + 1):
            player.play("layer", k)
            if rule.asks(k):
                player.play("check", k)
                answers.send(k)
                waiting.append(k)
            while waiting and waiting[0] <= k - self.ahead:
                asked = waiting.popleft()
                measured[0, asked - 1] = answers.read(asked)
                if rule.stops(asked, measured)[0]:
                    return asked, measured[0].tolist()
        for asked in waiting:
            measured[0, asked - 1] = answers.read(asked)
            if rule.stops(asked, measured)[0]:
                return asked, measured[0].tolist()
        return rule.last, measured[0].tolist()
