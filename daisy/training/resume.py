"""Training that survives being killed: its whole state, saved atomically, restored bit for bit."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from daisy.common.files import atomic
from daisy.errors import DaisyError
from daisy.training.workers import Workers


class Stateful(Protocol):
    """A model or an optimiser."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...  # noqa: D102


class Resumable:
    """The state of one training run on the disk.

    Args:
        folder: Where the state lies; it holds nothing else, and goes when the training is finished.
        parts: What the state consists of: models and optimisers, by name.
        fingerprint: What the state belongs to (settings, inputs); a state of anything else is ignored.
        workers: The processes that train together: all restore, and the first one saves.
    """

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, Stateful],
        fingerprint: Mapping[str, Any],
        workers: Workers = Workers(),  # noqa: B008
    ) -> None:
        self.folder, self.parts, self.workers = folder, parts, workers
        self.path = folder / "state.pt"
        self.fingerprint = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()

    def restore(self) -> tuple[int, dict[str, Any]]:
        """Bring every part and torch's random numbers back; return the steps done and the extra values.

        Without a usable state that is (0, {}). Every process has random numbers of its own; where there were fewer
        processes before, the others keep those that they started with.

        Raises:
            DaisyError: if the state is damaged, which an atomic write should have made impossible.
        """
        if not self.path.exists():
            return 0, {}
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise DaisyError(
                f"the saved training state is damaged ({' '.join(str(error).split())[:80]})",
                file=self.path,
                fix="Delete it to train from the start",
            ) from None
        if not isinstance(state, dict) or state.get("fingerprint") != self.fingerprint:
            print("a saved state of other settings or inputs is ignored", file=sys.stderr)
            return 0, {}
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        if self.workers.rank < len(state["random"]):
            _set_random(state["random"][self.workers.rank])
        if self.workers.first:
            print(f"resumed at step {state['step']}", file=sys.stderr, flush=True)
        return state["step"], state["extra"]

    def save(self, step: int, extra: Mapping[str, Any]) -> None:
        """Save every part after `step` steps; all processes call it.

        Args:
            step: Steps done.
            extra: Further values of plain types and tensors, such as the history of losses.
        """
        random = self.workers.gather(_random())
        if not self.workers.first:
            return
        with atomic(self.path) as temporary:
            torch.save(
                {
                    "fingerprint": self.fingerprint,
                    "step": step,
                    "parts": {name: part.state_dict() for name, part in self.parts.items()},
                    "random": random,
                    "extra": dict(extra),
                },
                temporary,
            )

    def finish(self) -> None:
        """Remove the state, once the results that it led to are written."""
        if self.workers.first:
            shutil.rmtree(self.folder, ignore_errors=True)


def _random() -> torch.Tensor:
    """torch's random numbers: the CPU's, and behind them the GPU's if there is one."""
    own = torch.get_rng_state()
    return torch.cat([own, torch.cuda.get_rng_state()]) if torch.cuda.is_available() else own


def _set_random(state: torch.Tensor) -> None:
    length = len(torch.get_rng_state())
    torch.set_rng_state(state[:length])
    if torch.cuda.is_available() and len(state) > length:
        torch.cuda.set_rng_state(state[length:])
