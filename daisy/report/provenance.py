"""With what a report was made: versions, code revision, processor."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that decide its numbers."""
    names = {"daisy": "daisy-ssl", "torch": "torch", "snakemake": "snakemake", "scikit-learn": "scikit-learn"}
    numbers = {"Python": platform.python_version()}
    for shown, name in names.items():
        try:
            numbers[shown] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            numbers[shown] = "not installed"
    return numbers


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE.parent), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def revision() -> str | None:
    """The commit of this code, with a mark if the code differs from it; None without a repository of its own."""
    top = _git("rev-parse", "--show-toplevel")
    # An installed package may lie inside some other project's repository.
    if not top or Path(top).resolve() != PACKAGE.parent:
        return None
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    changed = _git("status", "--porcelain", "--", PACKAGE.name, "rules", "Snakefile")
    return f"{commit} (with uncommitted changes)" if changed else commit


def processor() -> str:
    """The processor's model and its logical cores."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} logical cores"
