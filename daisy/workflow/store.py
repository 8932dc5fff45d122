"""The store: stages from corpora to evaluations keep their outputs in folders named by all that decides their content.

A folder's name ends in a key, the digest of the stage's config values, of the code it runs, and of what
it reads: the folders of stages before it, and the content of files from outside. So a change leads to another
folder and never to a wrong one, runs share what is equal, and a change taken back finds the old folder.
Standard library only: the Snakefile builds the store while parsing.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daisy.common import stage
from daisy.common.contents import Contents
from daisy.common.files import read_csv
from daisy.errors import DaisyError
from daisy.workflow.digests import code_digests


@functools.cache
def code_of(modules: tuple[str, ...], tasks: tuple[str, ...]) -> dict[str, str]:
    """The digests of a stage's code: asked for once per job and more, and always the same while a process lives."""
    return code_digests(*modules, tasks=tasks)


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stage whose outputs are stored.

    Attributes:
        folder: Where they are: ``<root>/<name>-<key>``.
        settings: Its config values, as JSON with sorted keys.
        code: A digest for every module that it runs.
        inputs: Folders of other stages, or files from outside, by the stage's name for them.
    """

    folder: str
    settings: str
    code: dict[str, str]
    inputs: dict[str, str]

    def file(self, name: str, path: str = "") -> list[str]:
        """A file in the folder that the stage knows as `name`, or `name` itself; none if it reads no such thing."""
        return [f"{self.inputs[name]}/{path}" if path else self.inputs[name]] if name in self.inputs else []


class Store:
    """All stored stages of one config.

    Args:
        root: Folder of the store; created when a stage writes to it.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._stages: dict[str, Stored] = {}
        self._folders: set[str] = set()
        self._contents = Contents(Path(root) / "contents.json")

    def add(self, name: str, *modules: str, settings: Any, tasks: Sequence[str] = (), **inputs: str) -> str:
        """Register a stage and return its folder, the same for the same.

        Args:
            name: The stage's name, the beginning of its folder's.
            modules: The stage's module, and those that it loads by name.
            settings: A dataclass of exactly the config values that it uses.
            tasks: The tasks whose modules it loads by name.
            inputs: Folders that `add` returned, or paths of outside files; empty ones are left out.
        """
        text = stage.text(settings)
        code = code_of(modules, tuple(tasks))
        read = {key: path for key, path in sorted(inputs.items()) if path}
        # A folder of the store says it all by its name.
        outside = [self._contents.digest(Path(path)) for path in read.values() if path not in self._folders]
        identity = json.dumps([name, text, sorted(code.items()), read, outside])
        key = hashlib.sha256(identity.encode()).hexdigest()[:12]
        folder = f"{self.root}/{name}-{key}"
        self._stages[key] = Stored(folder, text, code, read)
        self._folders.add(folder)
        return folder

    def __getitem__(self, key: str) -> Stored:
        """The stage of a key.

        Raises:
            DaisyError: if the config has no such stage.
        """
        if key not in self._stages:
            raise DaisyError(
                f"no stage of this config and code has the key {key}",
                fix="If the code or the config changed while the workflow ran, start it again",
            )
        return self._stages[key]

    def path(self, path: str) -> str:
        """A path in the store."""
        return f"{self.root}/{path}"

    def name(self, folder: str) -> str:
        """The name of the stage that writes `folder`; empty if it is none of the store's."""
        return Path(folder).name.rpartition("-")[0] if folder in self._folders else ""

    def knows(self, key: str) -> bool:
        """Whether the config has a stage of this key."""
        return key in self._stages

    def holds(self, folder: str) -> bool:
        """Whether a stage of the store writes `folder`."""
        return folder in self._folders

    def at(self, folder: str) -> Stored:
        """The stage that writes `folder`."""
        return self[folder.rpartition("-")[2]]


def unused(root: Path, results: Path, *more: Path) -> list[Path]:
    """The stages under `root` that no run under `results`, or `more`, names in its store.csv, sorted.

    Raises:
        DaisyError: if there are no runs at all, or none uses this store, since then nothing says what is in use.
    """
    tables = [
        path
        for folder in (results, *more)
        for place in ("*", "*/ablation", "*/signals")
        for path in folder.glob(f"{place}/store.csv")
    ]
    if not tables:
        raise DaisyError("no run has a store.csv here", file=results, fix="Name the folder of the runs with --results")
    folders = [Path(row["folder"]) for table in tables for row in read_csv(table, columns=("folder",))]
    # What these runs do not use of another store may be what others use.
    if folders and root.resolve() not in {folder.parent.resolve() for folder in folders}:
        problem = f"no run in {results} uses the store {root}, but {folders[0].parent}"
        raise DaisyError(problem, fix="Name the cache of these runs with --cache")
    used = {folder.name for folder in folders}
    # What an unfinished training keeps is named after the folder that it makes.
    there = [path for place in ("*-*", "state/*-*", "tensorboard/*-*") for path in root.glob(place)]
    return sorted(path for path in there if path.is_dir() and path.name not in used)
