"""The environments under envs/ install what pyproject.toml says, and nothing else."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {wanted.name: wanted for wanted in map(Requirement, PROJECT["dependencies"])}
PYTHON = SpecifierSet(PROJECT["requires-python"])


def test_conda_installs_the_project_itself():
    conda = yaml.safe_load((ROOT / "envs/daisy.yaml").read_text())
    *packages, pip = conda["dependencies"]
    (python,) = (package.removeprefix("python=") for package in packages if package.startswith("python="))
    assert f"{python}.0" in PYTHON
    assert pip == {"pip": ["-e .."]}, "packages belong into pyproject.toml"
    assert not {package.split("=")[0] for package in packages} & set(OWN)


def test_container_installs_the_project_itself():
    recipe = (ROOT / "envs/daisy.def").read_text()
    assert f"{re.search(r'From: python:([0-9.]+)', recipe)[1]}.0" in PYTHON
    copied = dict(re.findall(r"^    (\S+) /opt/daisy/(\S+)$", recipe, re.M))
    assert all(source == target and (ROOT / source).exists() for source, target in copied.items())
    assert {"pyproject.toml", "daisy", PROJECT["readme"], *PROJECT["license-files"]} == set(copied)
    assert re.findall(r"pip install (?:--\S+ )*(.*)", recipe) == ["/opt/daisy"], "packages belong into pyproject.toml"


@pytest.mark.parametrize("name", ["fairseq.txt", "peers.txt", "s3prl.txt"])
def test_other_environments_agree_with_the_project(name):
    lines = [line.split("#")[0].strip() for line in (ROOT / "envs" / name).read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    assert wanted
    for other in wanted:
        own = OWN.get(other.name)
        assert own is None or not other.specifier or own.specifier == other.specifier, f"{other} is not {own}"
