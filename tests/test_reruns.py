"""Partial reruns: every edit of `reruns.EDITS` reruns its rules, no more and no less, and right."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project
from reruns import EDITS, Edit


@contextlib.contextmanager
def made(edit: Edit, project: Project) -> Iterator[None]:
    """The project with the edit, which is taken back at the end."""
    aside = project.folder / "aside"
    moved: dict[Path, Path] = {}
    before = None
    if edit.code:
        file, old, new = edit.code
        before = (project.folder / file).read_text()
        assert old in before
        (project.folder / file).write_text(before.replace(old, new, 1) if old else before + new)
    for path in project.folder.glob(edit.touch) if edit.touch else ():
        if path.is_file() and not path.is_relative_to(project.results.parent) and ".cache" not in path.parts:
            os.utime(path)
    for pattern in edit.remove:
        for path in project.folder.glob(pattern):
            moved[path] = aside / str(len(moved))
            aside.mkdir(exist_ok=True)
            shutil.move(path, moved[path])
    try:
        yield
    finally:
        if edit.code and before is not None:
            (project.folder / edit.code[0]).write_text(before)
        for path, place in moved.items():
            shutil.move(place, path)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.what)
def test_edit_reruns_its_rules_and_no_others(project, nano, edit):
    with made(edit, project):
        assert set(project.would_run(*edit.options, overlay=edit.overlay)) == edit.rules
