"""The recipes of docs/extending.md, applied as they stand there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from project import ROOT, laid_over

from docs.reruns import CONFIG, HEADS, NOISE, OWN, PAGES, PLAYED, SCORES

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """A section of the page."""
    (text,) = [part for part in PAGE.split("\n## ") if part.startswith(f"{title}\n")]
    return text


def patched(text: str, patch: str) -> str:
    """`text` with hunks of lines that go, stay and come; each must fit at exactly one place."""
    for hunk in patch.split("@@\n")[1:]:
        lines = [line for line in hunk.splitlines() if line]
        old = "\n".join(line[1:] for line in lines if line[0] in " -")
        new = "\n".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def recipe(project, nano):
    """Apply a section's blocks to the project; the files are as before at the end."""
    before: dict[Path, str | None] = {}

    def apply(title: str) -> dict:
        overlay = {}
        for head, body in re.findall(r"```(\w+(?: file=\S+)?)\n(.*?)```", section(title), re.DOTALL):
            if head == "diff":
                path = project.folder / re.search(r"\+\+\+ b/(\S+)", body)[1]
                text = patched(path.read_text(), body)
            else:
                path, text = project.folder / head.split("file=")[1], body
                overlay = yaml.safe_load(body) if path.suffix == ".yaml" else overlay
            before.setdefault(path, path.read_text() if path.exists() else None)
            path.write_text(text)
        return overlay

    yield apply
    for path, text in before.items():
        path.unlink() if text is None else path.write_text(text)


def test_a_task(project, nano, recipe):
    overlay = recipe("A task")
    jobs = project.would_run(overlay=overlay)
    assert set(jobs) == CONFIG | HEADS | {"manifests", "states", "entropies", "calibration"}
    assert jobs["downstream"] == 4 and jobs["states"] == jobs["entropies"] == 3
    before = set((project.folder / ".cache/store").iterdir())
    one = laid_over(overlay, {"downstream": {"methods": ["full"]}, "noise": {"tasks": []}})
    project.run("--until", "evaluation", overlay=one)
    made = {path for path in (project.folder / ".cache/store").iterdir() if path not in before}
    assert any((folder / "evaluation.json").exists() for folder in made if folder.name.startswith("evaluation-ic-full"))
    for folder in made:
        shutil.rmtree(folder)


def test_a_strategy(project, nano, recipe):
    overlay = recipe("A strategy")
    jobs = project.would_run(overlay=overlay)
    assert {"evaluation", "noise_evaluation"} <= set(jobs) <= CONFIG | {"examples", "budget"} | SCORES | NOISE


def test_a_threshold_rule(project, nano, recipe):
    overlay = recipe("A threshold rule")
    jobs = project.would_run(overlay=overlay)
    assert {"calibration", "downstream"} | SCORES <= set(jobs) and not {"entropies", "branches"} & set(jobs)
    assert set(jobs) >= PAGES


def test_an_exit_rule(project, nano, recipe):
    recipe("An exit rule")
    assert set(project.would_run()) == HEADS | OWN | NOISE | PLAYED


def test_an_upstream_model(project, nano, recipe):
    recipe("An upstream model")
    outcome = project.python("renamed.py")
    assert outcome.stdout.strip() == "True", outcome.stderr
    (project.folder / "renamed.safetensors").unlink()
