"""Starting stages and commands as a shell does, and looking at how they end."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warm import warmed

from daisy.common import stage as stages

Outcome = subprocess.CompletedProcess[str]


def arguments(settings: Any, **options: object) -> list[str]:
    """The command line of a stage: its settings, values or a dataclass, as JSON, and its options."""
    text = stages.text(settings) if dataclasses.is_dataclass(settings) else json.dumps(settings)
    pairs = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    return ["--settings", text, *pairs]


def stage(module: str, settings: Any, *launcher: str, **options: object) -> list[str]:
    """The command that runs the stage `daisy.<module>`; `launcher` goes before it, such as torch's."""
    return [sys.executable, *launcher, "-m", f"daisy.{module}", *arguments(settings, **options)]


def ended(
    command: Sequence[str | Path],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    warm: bool = True,
) -> Outcome:
    """Run a command to its end, whatever that is.

    Args:
        command: The program and its arguments.
        folder: Where it runs; by default here.
        environment: Variables on top of this process's own.
        warm: Whether Python starts by its stand-in (see `warm`).
    """
    everything = {**os.environ, **(environment or {})}
    command = warmed(command) if warm else command
    return subprocess.run(command, cwd=folder, env=everything, capture_output=True, text=True, check=False)


def finished(
    command: Sequence[str | Path], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run a command that must succeed."""
    outcome = ended(command, folder, environment)
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-6000:]
    return outcome


def failed(command: Sequence[str | Path]) -> str:
    """Run a command that must fail with one clear line; that line."""
    outcome = ended(command)
    assert outcome.returncode == 1, outcome.stderr
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in outcome.stderr, outcome.stderr
    return errors[0]


def await_state(process: subprocess.Popen[Any], state: Path) -> None:
    """Wait until a training that was started has saved its state in the folder `state`, or has ended."""
    deadline = time.monotonic() + 120
    while not (state / "state.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
