"""What the pages name is there: files, modules and commands."""

from __future__ import annotations

import re

import pytest
from project import ROOT

from daisy.cli.main import SUBCOMMANDS
from daisy.workflow.digests import module_file

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "envs/README.md", ROOT / "results/README.md"])
MADE = {"daisy/tasks/ic.py", "daisy.tasks.ic"}
"""What a recipe makes."""

FILES = {"safetensors", "pt", "json", "yaml", "def", "sif"}
"""Endings of files that are called daisy."""


def is_there(name: str) -> bool:
    """Whether the package has a module of that name, or one that speaks of its last part."""
    module, _, last = name.rpartition(".")
    file = module_file(module)
    return bool(module_file(name) or (file and re.search(rf"\b{last}\b", file.read_text())))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    files = re.findall(r"(?<![\w/.])(?:daisy|rules|tests|docs|config|envs|profiles|slurm)/[\w./-]*\w", text)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    modules = [name for name in re.findall(r"\bdaisy(?:\.\w+)+", text) if name.split(".")[1] not in FILES]
    commands = re.findall(r"(?:^|`)daisy ([a-z-]+) ", text, re.MULTILINE)
    missing = [name for name in files if not (ROOT / name).exists()]
    missing += [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in modules if not is_there(name)]
    missing += [f"daisy {name}" for name in commands if name not in SUBCOMMANDS]
    assert not set(missing) - MADE
