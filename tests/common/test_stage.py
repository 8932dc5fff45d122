"""Stages: none is another's library, and each takes just the settings that it knows."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from daisy.common import stage
from daisy.errors import DaisyError
from daisy.workflow import digests as code_digest

PACKAGE = Path(code_digest.__file__).parent.parent


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
    assert {
        "daisy.targets.label",
        "daisy.corpora.published.stages.musan",
    } <= stages and "daisy.targets.km" not in stages
    uses = {(name, other) for name, tree in trees.items() for other in imported(tree) & stages}
    assert uses == {("daisy.__main__", "daisy.cli.main")}  # two names of one command


@dataclasses.dataclass(frozen=True)
class Inner:
    name: str
    share: float = 1.0


@dataclasses.dataclass(frozen=True)
class Settings:
    count: int
    layer: int | str
    inner: Inner
    seconds: tuple[float, ...] = ()
    names: list[str] = dataclasses.field(default_factory=list)
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    rho: float | None = None
    keep: bool = False
    kind: Literal["one", "two"] = "one"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


GOOD = {
    "count": 3,
    "layer": "mfcc",
    "inner": {"name": "x", "share": 1},
    "seconds": [1, 2.5],
    "names": ["a"],
    "thresholds": {"asr": 2},
    "rho": None,
    "keep": True,
    "kind": "two",
    "options": {"hidden": [1, "x", None]},
}


def test_settings_of_the_right_types():
    made = stage.settings(Settings, json.dumps(GOOD))
    assert made == Settings(**{**GOOD, "inner": Inner("x", 1), "seconds": (1, 2.5)})
    whole = (made.seconds[0], made.inner.share, made.thresholds["asr"])
    assert [type(value) for value in whole] == [int] * 3, "a number is kept as it was written"
    assert stage.settings(Settings, json.dumps({**GOOD, "layer": 9, "rho": 0.5})).layer == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 3.0}, "settings.count is 3.0, not a whole number"),
        ({"count": True}, "settings.count is True, not a whole number"),
        ({"count": "3"}, "settings.count is '3', not a whole number"),
        ({"layer": None}, "settings.layer is None, not a whole number or a text"),
        ({"inner": 3}, "settings.inner is 3, not an object"),
        ({"inner": {"name": 3}}, "settings.inner.name is 3, not a text"),
        ({"inner": {"name": "x", "share": "1"}}, "settings.inner.share is '1', not a number"),
        ({"inner": {"share": 1.0}}, "settings.inner lacks the key 'name'"),
        ({"inner": {"name": "x", "nam": 1}}, "settings.inner has the unknown key 'nam'"),
        ({"seconds": 2.5}, "settings.seconds is 2.5, not a list"),
        ({"seconds": [1.0, False]}, r"settings.seconds\[1\] is False, not a number"),
        ({"names": ["a", 1]}, r"settings.names\[1\] is 1, not a text"),
        ({"names": "a"}, "settings.names is 'a', not a list"),
        ({"thresholds": {"asr": None}}, "settings.thresholds.asr is None, not a number"),
        ({"thresholds": []}, r"settings.thresholds is \[\], not an object"),
        ({"rho": "0.5"}, "settings.rho is '0.5', not a number or null"),
        ({"keep": 1}, "settings.keep is 1, not true or false"),
        ({"kind": "three"}, "settings.kind is 'three', not 'one' or 'two'"),
    ],
)
def test_settings_of_other_types(change, message):
    with pytest.raises(DaisyError, match=message):
        stage.settings(Settings, json.dumps(GOOD | change))


def test_settings_are_one_object():
    with pytest.raises(DaisyError, match="not valid JSON"):
        stage.settings(Settings, "{")
    with pytest.raises(DaisyError, match=r"settings is \[\], not an object"):
        stage.settings(Settings, "[]")
