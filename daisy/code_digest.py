"""A digest of the code that a stage runs, so that a change of code reruns what it touches and no more.

It covers the stage's module and all of this package that it imports, directly or not; comments,
docstrings and layout do not count. What is imported by a name that only a run knows cannot be seen here, so
such an import is an error, with one exception: `daisy.tasks.loading` loads the tasks' modules, and who runs it
names the tasks. Standard library only: the Snakefile computes it while parsing.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from daisy.errors import DaisyError
from daisy.tasks.registry import TASKS

PACKAGE = Path(__file__).parent
LOADER, REGISTRY = "daisy.tasks.loading", "daisy.tasks.registry"
DYNAMIC = ("import_module", "__import__", "exec", "eval")
"""Calls that run what no text shows; as methods (`model.eval()`) the last two are something else."""


def module_file(name: str) -> Path | None:
    """The file of the module `name` of this package, or None if there is none."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    if path.is_dir():
        return path / "__init__.py"
    file = path.with_suffix(".py")
    return file if file.is_file() else None


@functools.cache
def _parsed(name: str) -> tuple[str, frozenset[str]]:
    """The code of a module without comments and docstrings, and the modules that it imports."""
    file = module_file(name)
    assert file is not None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            raise DaisyError(f"line {node.lineno} imports relatively", file=file, fix="Name the module in full")
        elif isinstance(node, ast.Call) and name != LOADER and _called(node) in DYNAMIC:
            raise DaisyError(
                f"line {node.lineno} calls {_called(node)}, so that no digest can tell which code runs",
                file=file,
                fix="Import by name, or load tasks with daisy.tasks.loading",
            )
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            # A string that stands alone is documentation, wherever it stands.
            node.body = [
                item
                for item in node.body
                if not (
                    isinstance(item, ast.Expr)
                    and isinstance(item.value, ast.Constant)
                    and isinstance(item.value.value, str)
                )
            ]
    own = frozenset(item for item in imports if item.split(".")[0] == PACKAGE.name and module_file(item))
    return ast.dump(tree), own


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr if function.attr not in ("exec", "eval") else ""
    return getattr(function, "id", "")


def closure(*modules: str) -> list[str]:
    """The modules of this package that `modules` import, directly or not, and `modules` themselves, sorted."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            if "." in name:
                # The package's own front door imports the library when somebody asks for it; no stage does.
                waiting += _parsed(name)[1]
                waiting.append(name.rpartition(".")[0])
    return sorted(found)


def code_digests(*modules: str, tasks: Sequence[str] = ()) -> dict[str, str]:
    """Eight hexadecimal digits per module of a stage that change if, and only if, its code does.

    Args:
        modules: The stage's module.
        tasks: The tasks that it loads by name; their modules count, and of the registry their entries alone.

    Raises:
        DaisyError: if a module imports what cannot be told from its text, or loads tasks and none is named.
    """
    found = closure(*modules, *(TASKS[task].module for task in tasks))
    if LOADER in found and not tasks:
        raise DaisyError(f"{modules[0]} loads tasks by name", fix="Name the tasks beside it")
    texts = {name: _parsed(name)[0] for name in found}
    if REGISTRY in texts and tasks:
        texts[REGISTRY] = repr([(task, TASKS[task]) for task in sorted(tasks)])
    return {name: hashlib.sha256(text.encode()).hexdigest()[:8] for name, text in texts.items()}
