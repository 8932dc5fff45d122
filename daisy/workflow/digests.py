"""A digest of the code that a stage runs, so that a change of code reruns what it touches and no more.

It covers the stage's module and all of this package that it imports, directly or not. Comments, docstrings, layout
and the wording of errors, notices and progress do not count, nor do modules that cannot change a result
(`UNCOUNTED`). What is imported by a name that only a run knows cannot be seen here, so
such an import is an error, with one exception: `daisy.tasks.loading` loads the tasks' modules, and who runs it
names the tasks. Standard library only: the Snakefile computes it while parsing.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daisy.errors import DaisyError
from daisy.tasks.registry import TASKS
from daisy.workflow.beside import kept

PACKAGE = Path(__file__).parent.parent
UNCOUNTED = {
    "daisy.errors": "it words and carries errors",
    "daisy.common.gpus": "it chooses between GPUs, which no config tells apart",
    "daisy.common.progress": "it prints how far a stage is",
    "daisy.common.spent": "it notes how long a stage's work takes",
    "daisy.training.notice": "it ends a training early, which then goes on from its saved state bit for bit",
    "daisy.training.curves": "it writes what TensorBoard shows of an unfinished training",
    "daisy.common.versions": "it notes which libraries made an output",
    "daisy.common.for_people": "it marks what is only shown",
}
"""Modules that cannot change a result, and why: no digest counts them."""

SETTINGS = "settings"
"""Every room's dataclasses of fields and nothing else: settings are compared as they are, so they count neither."""

PAGES = ("judge", "figures", "noise_figures", "at_work", "page", "ablation", "signals")
SHOWN = tuple(f"daisy.report.{name}" for name in PAGES)
"""Stages that write what people read: for them, what is marked `for_people` counts too."""

TOLD = ("print", "Progress", "DaisyError", "WriteError")
"""Calls whose texts are only ever shown."""

HELP = ("help", "description", "metavar")
"""Arguments that are only ever shown by a command's `--help`."""

LOADER, REGISTRY = "daisy.tasks.loading", "daisy.tasks.registry"
DYNAMIC = ("import_module", "__import__", "exec", "eval")
"""Calls that run what no text shows; as methods (`model.eval()`) the last two are something else."""


def counts(name: str) -> bool:
    """Whether a module of this package can change a result."""
    return name not in UNCOUNTED and name.rpartition(".")[2] != SETTINGS


def module_file(name: str) -> Path | None:
    """The file of the module `name` of this package, or None if there is none."""
    return _file_of(PACKAGE, name)


@functools.cache
def _file_of(package: Path, name: str) -> Path | None:
    # Hundreds of imports are asked after, and a few dozen modules.
    path = package.joinpath(*name.split(".")[1:])
    if path.is_dir():
        return path / "__init__.py"
    file = path.with_suffix(".py")
    return file if file.is_file() else None


class _Counted(ast.NodeTransformer):
    """Leaves of a module what can change a result: no documentation, no wording, nothing that only people read."""

    keeps_words = False

    def _body(self, node: Any) -> Any:
        # A string that stands alone is documentation, wherever it stands.
        node.body = [item for item in node.body if not _documents(item) and (self.keeps_words or not _for_people(item))]
        return self.generic_visit(node)

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _body

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """An error's text; that it is raised, and as what, counts."""
        return _Wordless().visit(self.generic_visit(node))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """The text of a notice or of a line of progress, and the help of an option."""
        if getattr(node.func, "id", "") in TOLD:
            return _Wordless().visit(self.generic_visit(node))
        node.keywords = [item for item in node.keywords if item.arg not in HELP]
        return self.generic_visit(node)


class _Wordless(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


class _Shown(_Counted):
    """The same for stages that show what is for people."""

    keeps_words = True


def _documents(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _for_people(node: ast.stmt) -> bool:
    marks = node.decorator_list if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else []
    return any(isinstance(mark, ast.Name) and mark.id == "for_people" for mark in marks)


class _Module(NamedTuple):
    """What is known of a module.

    Attributes:
        counted: The digest of the code that counts.
        shown: The same where what is for people counts too.
        imports: The modules of this package that it imports.
    """

    counted: str
    shown: str
    imports: frozenset[str]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@functools.cache
def _parsed(name: str) -> _Module:
    file = module_file(name)
    assert file is not None
    text = file.read_bytes()
    counted, shown, imports = kept(file, text, __file__, lambda: _read(name, file, text))
    own = (item for item in imports if item.split(".")[0] == PACKAGE.name and module_file(item) and counts(item))
    return _Module(counted, shown, frozenset(own))


def _read(name: str, file: Path, text: bytes) -> tuple[str, str, list[str]]:
    """The digests of a module's text, and all that it imports."""
    tree = ast.parse(text)
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
    counted = _digest(ast.dump(_Counted().visit(tree)))
    shown = _digest(ast.dump(_Shown().visit(ast.parse(text)))) if b"for_people" in text else counted
    return counted, shown, sorted(imports)


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr if function.attr not in ("exec", "eval") else ""
    return getattr(function, "id", "")


def closure(*modules: str) -> list[str]:
    """The modules of this package that `modules` import, directly or not, and `modules` themselves, sorted."""
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            if "." in name:
                # The package's own front door imports the library when somebody asks for it; no stage does.
                waiting += _parsed(name).imports
                waiting.append(name.rpartition(".")[0])
    return sorted(reached)


def code_digests(*modules: str, tasks: Sequence[str] = ()) -> dict[str, str]:
    """Eight hexadecimal digits per module of a stage that change if, and only if, its code does.

    Args:
        modules: The stage's module.
        tasks: The tasks that it loads by name; their modules count, and of the registry their entries alone.

    Raises:
        DaisyError: if a module imports what cannot be told from its text, or loads tasks and none is named.
    """
    names = closure(*modules, *(TASKS[task].module for task in tasks))
    if LOADER in names and not tasks:
        raise DaisyError(f"{modules[0]} loads tasks by name", fix="Name the tasks beside it")
    shown = modules[0] in SHOWN
    digests = {name: _parsed(name).shown if shown else _parsed(name).counted for name in names}
    if REGISTRY in digests and tasks:
        digests[REGISTRY] = _digest(repr([(task, TASKS[task]) for task in sorted(tasks)]))
    return digests
