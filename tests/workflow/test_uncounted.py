"""What no digest counts: modules that cannot change a result, settings, and words."""

from __future__ import annotations

import ast
from pathlib import Path

import daisy
from daisy.workflow import digests
from daisy.workflow.digests import SETTINGS, UNCOUNTED, counts

PACKAGE = Path(daisy.__file__).parent
TREES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
COUNTED = {name: tree for name, tree in TREES.items() if counts(name)}
SHOWN = ("daisy.report.", "daisy.cli.", "daisy.workflow.")
"""Rooms whose output people read, and the workflow, which no stage imports."""


def from_module(tree: ast.Module, module: str) -> set[str]:
    """The names that a module imports from another."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == module]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def parents(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def annotates(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """Whether a name stands in an annotation."""
    while node in above:
        child, node = node, above[node]
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is child:
            return True
        if isinstance(node, ast.FunctionDef) and node.returns is child:
            return True
    return False


def carried(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """Whether an error's name is only raised, caught, asked for by kind, or subclassed."""
    while node in above:
        node = above[node]
        if isinstance(node, ast.Raise | ast.ExceptHandler):
            return True
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "DaisyError", "WriteError"):
            return True
        if isinstance(node, ast.stmt):
            # An error that a function returns is raised by its callers.
            return isinstance(node, ast.Return | ast.ClassDef)
    return False


def test_the_list_is_of_modules_that_are_there():
    assert all(digests.module_file(name) for name in UNCOUNTED)
    assert not any(counts(name) for name in UNCOUNTED)


def test_errors_are_raised_and_caught_and_nothing_else():
    uses = 0
    for name, tree in COUNTED.items():
        above, errors = parents(tree), from_module(tree, "daisy.errors")
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in errors:
                uses += 1
                assert carried(node, above) or annotates(node, above), f"{name}:{node.lineno}"
    assert uses > 100


def told(tree: ast.Module, kinds: set[str]) -> set[str]:
    """The variables that hold an object of one of some classes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            if getattr(node.value.func, "id", "") in kinds:
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name) and node.annotation.id in kinds:
            found.add(node.arg)
    return found


def test_progress_and_curves_are_told_and_never_asked():
    """Their methods are called as statements; what they hold decides nothing but what they say themselves."""
    uses = 0
    for name, tree in COUNTED.items():
        kinds = from_module(tree, "daisy.common.progress") | from_module(tree, "daisy.training.curves")
        objects, above = told(tree, kinds), parents(tree)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in objects):
                continue
            uses += 1
            call = above[node]
            to_itself = node.value.id in objects and any(
                isinstance(outer, ast.Call) and getattr(getattr(outer.func, "value", None), "id", "") == node.value.id
                for outer in ancestors(node, above)
            )
            statement = isinstance(call, ast.Call) and isinstance(above[call], ast.Expr)
            assert statement or to_itself, f"{name}:{node.lineno}"
    assert uses > 15


def ancestors(node: ast.AST, above: dict[ast.AST, ast.AST]) -> list[ast.AST]:
    found = []
    while node in above:
        node = above[node]
        found.append(node)
    return found


def test_a_notice_is_the_trainings_own():
    importing = {name for name, tree in COUNTED.items() if from_module(tree, "daisy.training.notice")}
    assert importing == {"daisy.training.loop"}


def test_versions_are_recorded_where_stages_end():
    importing = {name for name, tree in COUNTED.items() if from_module(tree, "daisy.common.versions")}
    assert importing == {"daisy.common.stage", "daisy.workflow.upgrades"}


def test_nothing_prints_into_a_file():
    for name, tree in COUNTED.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                files = [ast.unparse(item.value) for item in node.keywords if item.arg == "file"]
                assert set(files) <= {"sys.stderr"}, f"{name}:{node.lineno}"


def test_settings_are_fields_and_nothing_else():
    rooms = {name: tree for name, tree in TREES.items() if name.rpartition(".")[2] == SETTINGS}
    assert len(rooms) >= 10
    for name, tree in rooms.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                (mark,) = map(ast.unparse, node.decorator_list)
                assert mark in (
                    f"dataclasses.dataclass({options})" for options in ("frozen=True", "frozen=True, kw_only=True")
                )
                kinds = {type(item) for item in node.body}
                assert kinds <= {ast.Expr, ast.AnnAssign}, f"{name}:{node.name}"
            else:
                literal = isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Literal[")
                assert literal or isinstance(node, ast.Import | ast.ImportFrom | ast.Expr), f"{name}:{node.lineno}"


def test_what_is_for_people_is_used_where_they_read():
    marked = {
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "for_people" in [ast.unparse(mark) for mark in node.decorator_list]
    }
    assert {"in_words", "rho_text"} <= marked
    for name, tree in COUNTED.items():
        if name.startswith(SHOWN):
            continue
        own = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name in marked
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            word = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            assert word not in marked or node in own, f"{name}:{node.lineno}"
