"""Links in place of copies: audio is used where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def link_roots(audio_folder: Path, roots: Mapping[str, Path]) -> None:
    """Let ``audio/`` name the folders in which the recordings lie, so that nothing is copied."""
    audio_folder.mkdir(parents=True, exist_ok=True)
    for name, root in roots.items():
        link = audio_folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(root.resolve(), target_is_directory=True)
