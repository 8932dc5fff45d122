"""Corpora and manifests: which corpus every task uses, and where its recordings are listed."""

from __future__ import annotations

import difflib
import functools
import os
from pathlib import Path
from typing import Any

from daisy.corpora.own import TABLE, check
from daisy.corpora.published.archives import archives_of
from daisy.corpora.published.catalogue import CORPORA as PUBLISHED
from daisy.corpora.published.catalogue import module_of, settings_of
from daisy.corpora.published.settings import DownloadSettings
from daisy.corpora.settings import (
    CommandsSettings,
    EmbeddedSettings,
    EnhancementSettings,
    MixingSettings,
    NoiseSettings,
    PhonesSettings,
    PreparedSettings,
)
from daisy.errors import DaisyError
from daisy.tasks.registry import TASKS
from daisy.workflow.context import Context, Job, job
from daisy.workflow.own import SPEECH, manifest_settings, own_folder, splits_of, unfit
from daisy.workflow.several import tried

OWN = "own"
"""The store's name for a corpus of the user's own, once it is checked."""


class Corpora:
    """The corpora and manifests of a run.

    Args:
        context: The run.

    Attributes:
        folders: The folder of every corpus, by its own name and by the tasks that use it.
        manifests: The folder of manifests of every task, and of the branches' speech.

    Raises:
        DaisyError: if some of the user's own corpora are missing or cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._data = context.config.data
        self._splits = splits_of(context.config)
        given = tried(*(functools.partial(self._given, *item) for item in self._data.corpora.items()))
        named = self._embedded() | dict(zip(self._data.corpora, given, strict=True))
        shared = {task: named[TASKS[task].corpus] for task in context.tasks if TASKS[task].corpus}
        self.folders = shared | named
        self.manifests = {name: self._manifests(name) for name in (SPEECH, *context.tasks)}

    def _embedded(self) -> dict[str, str]:
        """The corpora that the project makes itself."""
        add, data, seed = self._context.store.add, self._data, self._context.config.seed
        speech = add("embedded", "daisy.corpora.embedded", settings=EmbeddedSettings(data.packages))
        few = data.splits.sid_min_recordings
        noise = add(
            "noise",
            "daisy.corpora.noise",
            settings=NoiseSettings(seed, **vars(data.noise), sid_min_recordings=few),
            speech=speech,
        )
        mixing: dict[str, Any] = {"seed": seed, "splits": self._splits, "seconds": data.mixtures.seconds}
        enhancement = EnhancementSettings(**mixing, **vars(data.mixtures.enhancement))
        separation = MixingSettings(**mixing, **vars(data.mixtures.separation))
        spoken = CommandsSettings(seed, **vars(data.commands))
        commands = add("commands", "daisy.corpora.commands", settings=spoken)
        phones = {}
        if "pr" in self._context.tasks:
            phones["pr"] = add("phones", "daisy.corpora.phones", settings=PhonesSettings(), corpus=commands)
        return {
            SPEECH: speech,
            "asr": commands,
            **phones,
            "se": add("enhancement", "daisy.corpora.enhancement", settings=enhancement, speech=speech, noise=noise),
            "ss": add("separation", "daisy.corpora.separation", settings=separation, speech=speech),
            "noise": noise,
        }

    def _given(self, name: str, folder: str) -> str:
        """A corpus that the config names: a published one, read where its archives were unpacked, or the user's own."""
        if folder in PUBLISHED:
            return self._context.store.add(
                folder, module_of(folder), settings=settings_of(folder, self._data.published)
            )
        own = own_folder(folder, self._context.project)
        try:
            if not (own / TABLE).exists():
                near = difflib.get_close_matches(folder, PUBLISHED, n=1)
                names = f"name a published corpus ({', '.join(PUBLISHED)})"
                fix = f"Correct the path, let `daisy data import` make a corpus of the folder, or {names}"
                raise DaisyError(f"{folder} holds no {TABLE}", fix=f"Did you mean {near[0]!r}?" if near else fix)
            stored = self._context.store.add(
                OWN, "daisy.corpora.prepared", settings=PreparedSettings(), corpus=str(own / TABLE)
            )
            if not os.path.exists(f"{stored}/{TABLE}"):
                self._foresee(name, own)
        except DaisyError as error:
            problem = error.problem if error.file is None else f"{error.file}: {error.problem}"
            raise DaisyError(f"data.corpora.{name}: {problem}", fix=error.fix) from None
        return stored

    def _foresee(self, name: str, own: Path) -> None:
        """Find what can be found without reading all of a corpus that no job has checked yet.

        Raises:
            DaisyError: at what would stop a job.
        """
        found = check(own, decode=False, few=True)
        found.answer()
        if problem := unfit(name, self._context.config, found.recordings):
            raise DaisyError(problem.problem, file=own / TABLE, fix=problem.fix)

    def _manifests(self, task: str) -> str:
        settings, corpus = manifest_settings(self._context.config, task), self.folders[task]
        return self._context.store.add(f"manifests-{task}", "daisy.corpora.manifests", settings=settings, corpus=corpus)

    def table(self, name: str) -> str:
        """The table of the corpus whose audio a manifest refers to: what reads audio needs it there."""
        return f"{self.folders[name]}/recordings.csv"

    def manifest(self, task: str, part: str) -> str:
        """The manifest of a part."""
        return f"{self.manifests[task]}/{part}.tsv"

    @property
    def left_out(self) -> list[str]:
        """The tables of recordings that the corpora in use leave out."""
        used = dict.fromkeys(self.folders[name] for name in (SPEECH, *self._context.tasks))
        listing = [folder for folder in used if self._context.store.name(folder) in ("embedded", *PUBLISHED)]
        return [f"{folder}/dropped.csv" for folder in listing]

    def downloads(self, published: str) -> list[str]:
        """What says that a published corpus's archives are there; nothing unless the config asks for downloads."""
        if not self._data.published["download"]:
            return []
        needed = archives_of(published, self._data.published)
        return [self._context.cached(f"downloads/{corpus}/{archive}.json") for corpus, archive in needed]

    def download(self, published: str, archive: str) -> Job:
        """The download of an archive."""
        return job("daisy.corpora.published.download", DownloadSettings(published, archive))

    def name_of(self, task: str) -> str:
        """What the config calls the corpus of a task; empty for an embedded one."""
        shared = TASKS[task].corpus if task in TASKS else ""
        return self._data.corpora.get(task) or self._data.corpora.get(shared, "")

    @property
    def links(self) -> dict[str, str]:
        """What the run's folder links to."""
        stored = {name: folder for name, folder in self.folders.items() if self._context.store.holds(folder)}
        return {f"corpora/{name}": folder for name, folder in stored.items()} | {
            f"manifests/{task}": folder for task, folder in self.manifests.items()
        }
