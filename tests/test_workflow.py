"""What the workflow itself rests on: the code digest, and a Snakefile that parses without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daisy import code_digest

ROOT = Path(__file__).parent.parent


def test_closure_holds_what_a_stage_imports():
    closure = code_digest.closure("daisy.calibrate")
    assert {"daisy.exits", "daisy.extract", "daisy.hubert.encoder", "daisy.files"} <= set(closure)
    assert "daisy.tasks.asr" not in code_digest.closure("daisy.downstream")
    assert "daisy.hubert.encoder" not in code_digest.closure("daisy.manifests")


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("x = 1\n", "x = 2\n", True),
        ("x = 1\n", "# why\n\n\nx = 1\n", False),
        ('def f():\n    """One."""\n    return 1\n', 'def f():\n    """Two."""\n    return 1\n', False),
        ('x = 1\n"""Of x."""\n', "x = 1\n", False),
        ("def f(a, b):\n    return a\n", "def f(a, b):\n    return b\n", True),
    ],
)
def test_digest_sees_code_and_nothing_else(tmp_path, monkeypatch, before, after, changes):
    package = tmp_path / "daisy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "stage.py").write_text("from daisy.part import x\n")
    monkeypatch.setattr(code_digest, "PACKAGE", package)
    digests = []
    for content in (before, after):
        (package / "part.py").write_text(content)
        code_digest._parsed.cache_clear()
        digests.append(code_digest.code_digest("daisy.stage"))
    code_digest._parsed.cache_clear()
    assert (digests[0] != digests[1]) == changes


def test_parsing_does_not_import_torch():
    code = (
        "import sys; from snakemake.cli import main\n"
        "try: main(['--snakefile', 'Snakefile', '--dry-run', '--quiet', '--cores', '1'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
