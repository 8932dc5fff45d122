"""Stages: none is another's library, and each takes just the settings that it knows."""

from __future__ import annotations

import ast
from pathlib import Path

from daisy import code_digest

PACKAGE = Path(code_digest.__file__).parent


def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    files = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}


def is_stage(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.If) and "__main__" in ast.dump(node.test) for node in tree.body)


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_what_stages_share_is_no_stage():
    trees = modules()
    stages = {name for name, tree in trees.items() if is_stage(tree)}
    assert {"daisy.label", "daisy.published.stages.musan"} <= stages and "daisy.km" not in stages
    assert {(name, other) for name, tree in trees.items() for other in imported(tree) & stages} == set()
