"""What the workflow itself rests on: the code digest, and a Snakefile that parses without torch."""

from __future__ import annotations

import ast
import sys

import pytest
from project import ROOT
from runners import finished

from daisy.errors import DaisyError
from daisy.workflow import beside
from daisy.workflow import digests as code_digest


def test_closure_holds_what_a_stage_imports():
    closure = code_digest.closure("daisy.features.calibrate")
    assert {"daisy.exits.thresholds", "daisy.features.measured", "daisy.common.files"} <= set(closure)
    assert "daisy.tasks.asr" not in code_digest.closure("daisy.downstream.train")
    assert "daisy.hubert.encoder" not in code_digest.closure("daisy.corpora.manifests")


def test_stages_that_write_rows_do_not_hold_what_is_asked_of_them():
    closure = code_digest.closure(
        "daisy.evaluation.evaluate", "daisy.noise.evaluate", "daisy.noise.tables", "daisy.report.tables"
    )
    assert not {"daisy.report.grid", "daisy.report.noise_grid", "daisy.report.wording"} & set(closure)


def small_package(folder, monkeypatch):
    """A package of a stage and a part that it imports."""
    package = folder / "daisy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "stage.py").write_text("from daisy.part import x\n")
    monkeypatch.setattr(code_digest, "PACKAGE", package)
    return package


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("x = 1\n", "x = 2\n", True),
        ("x = 1\n", "# why\n\n\nx = 1\n", False),
        ('def f():\n    """One."""\n    return 1\n', 'def f():\n    """Two."""\n    return 1\n', False),
        ('x = 1\n"""Of x."""\n', "x = 1\n", False),
        ("def f(a, b):\n    return a\n", "def f(a, b):\n    return b\n", True),
        ("def f():\n    raise ValueError(f'{1}: one')\n", "def f():\n    raise ValueError('two')\n", False),
        ("def f():\n    raise ValueError('one')\n", "def f():\n    raise KeyError('one')\n", True),
        ("print('one')\n", "print('two')\n", False),
        ("p = Progress('one', 5)\n", "p = Progress('two', 5)\n", False),
        ("open('one')\n", "open('two')\n", True),
        ("a.add_argument('--x', help='one')\n", "a.add_argument('--x', help='two')\n", False),
        ("a.add_argument('--x', default=1)\n", "a.add_argument('--x', default=2)\n", True),
        ("@for_people\ndef f():\n    return 1\n", "@for_people\ndef f():\n    return 2\n", False),
        ("@cache\ndef f():\n    return 1\n", "@cache\ndef f():\n    return 2\n", True),
    ],
)
def test_digest_sees_code_and_nothing_else(tmp_path, monkeypatch, before, after, changes):
    package = small_package(tmp_path, monkeypatch)
    digests = []
    for content in (before, after):
        (package / "part.py").write_text(content)
        code_digest._parsed.cache_clear()
        digests.append(code_digest.code_digests("daisy.stage"))
    code_digest._parsed.cache_clear()
    assert (digests[0] != digests[1]) == changes
    assert {name for name in digests[0] if digests[0][name] != digests[1][name]} == (
        {"daisy.part"} if changes else set()
    )


def test_a_text_is_parsed_once(tmp_path, monkeypatch):
    """The next process reads what this one found, for the same text; where it cannot, it parses again."""
    package = small_package(tmp_path, monkeypatch)
    (package / "part.py").write_text("x = 1\n")

    def found() -> tuple[dict[str, str], list[bytes]]:
        parsed: list[bytes] = []
        code_digest._parsed.cache_clear()
        with monkeypatch.context() as within:
            within.setattr(ast, "parse", lambda text, parse=ast.parse: parsed.append(text) or parse(text))
            digests = code_digest.code_digests("daisy.stage")
        code_digest._parsed.cache_clear()
        return digests, parsed

    first, parsed = found()
    assert len(parsed) == len(first) == 3
    assert found() == (first, [])
    (package / "part.py").write_text("x = 2\n")
    second, parsed = found()
    assert parsed == [b"x = 2\n"] and second != first
    (kept,) = (package / "__pycache__").glob("part.*.json")
    for content in ("", "[1", "{}", "[1]"):
        kept.write_text(content)
        assert found() == (second, [b"x = 2\n"])
    kept.unlink()
    kept.mkdir()
    assert found() == (second, [b"x = 2\n"])


def test_what_is_kept_is_of_the_code_that_found_it(tmp_path):
    source, maker = tmp_path / "source.py", tmp_path / "maker.py"
    for content in ("one", "two"):
        maker.write_text(content)
        beside._version.cache_clear()
        assert beside.kept(source, b"", str(maker), lambda content=content: content) == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import importlib\nx = importlib.import_module('daisy.' + 'a')\n", "line 2 calls import_module"),
        ("x = __import__('daisy.a')\n", "calls __import__"),
        ("x = 0\nexec('import daisy.a')\n", "line 2 calls exec"),
        ("from . import a as x\n", "imports relatively"),
    ],
)
def test_a_dynamic_import_is_an_error(tmp_path, monkeypatch, content, message):
    package = small_package(tmp_path, monkeypatch)
    (package / "part.py").write_text(content)
    code_digest._parsed.cache_clear()
    with pytest.raises(DaisyError, match=message) as caught:
        code_digest.code_digests("daisy.stage")
    code_digest._parsed.cache_clear()
    assert "part.py" in str(caught.value)


def test_tasks_are_loaded_by_name_only_where_a_task_is_named():
    with pytest.raises(DaisyError, match="loads tasks by name"):
        code_digest.code_digests("daisy.downstream.train")
    assert "daisy.tasks.asr" in code_digest.code_digests("daisy.downstream.train", tasks=["asr"])


def test_parsing_does_not_import_torch():
    code = (
        "import sys; from snakemake.cli import main\n"
        "try: main(['--snakefile', 'Snakefile', '--dry-run', '--quiet', '--cores', '1'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    finished([sys.executable, "-c", code], ROOT)
