"""Tests that need another machine or environment, and so are not run here, keep to names that the package has."""

from __future__ import annotations

import ast
import importlib
import importlib.util

import pytest
from project import ROOT

FOLDERS = [ROOT / "tests" / name for name in ("gpu", "peers", "s3prl", "slurm")]
FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))]


def imported(text: str) -> list[tuple[str, str]]:
    """The names that a text imports from the package, with their modules."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if (node.module or "").startswith("daisy")]
    return [(node.module, name.name) for node in ours for name in node.names]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_they_import_is_there(path):
    for module, name in imported(path.read_text()):
        try:
            there = hasattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("daisy"):
                raise
            continue  # a package of theirs that is not installed here
        assert there or importlib.util.find_spec(f"{module}.{name}"), f"{module} has no {name}"
