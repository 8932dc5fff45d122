"""Corpora of the user's own: which a config names, where they are, and whether its tasks can use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.corpora.choice import choose, missing
from daisy.corpora.faults import some
from daisy.corpora.own import TABLE
from daisy.corpora.partition import partition
from daisy.corpora.published.catalogue import CORPORA as PUBLISHED
from daisy.corpora.settings import ManifestsSettings, Splits
from daisy.corpora.table import Recording
from daisy.errors import DaisyError
from daisy.noise.conditions import WHITE
from daisy.tasks.registry import TASKS
from daisy.workflow.sections import Config

SPEECH = "speech"
"""The corpus of the branches and their targets."""

NOISE = "noise"
"""The corpus of the noise study."""


def own_folder(path: str, project: Path) -> Path:
    """The folder of a corpus, named by itself or by its table, as it stands or in the project's own folder."""
    given = Path(path).parent if Path(path).name == TABLE else Path(path)
    return project / given if (project / given).exists() and not given.exists() else given


def own_used_by(config: Mapping[str, Any], project: Path) -> dict[str, Path]:
    """The folders of the user's own corpora that a checked config names and uses, by what they are for."""
    used = (SPEECH, NOISE, *config["tasks"])
    named = {name: path for name, path in config["data"]["corpora"].items() if name in used and path not in PUBLISHED}
    return {name: own_folder(path, project) for name, path in named.items()}


def splits_of(config: Config, named: str = "") -> Splits:
    """How a config divides the embedded corpus, or what it names for `named`: of the user's own, nothing is cut."""
    shares = config.data.splits
    most = 0 if config.data.corpora.get(named) else shares.max_per_speaker
    return Splits(config.seed, shares.dev, shares.test, most)


def manifest_settings(config: Config, task: str) -> ManifestsSettings:
    """Which recordings a task uses, or the branches' speech."""
    shares, entry = config.data.splits, TASKS.get(task)
    if entry is None:
        return ManifestsSettings(task, splits_of(config, task))
    named = task if config.data.corpora.get(task) else entry.corpus
    return ManifestsSettings(
        task,
        splits_of(config, named),
        # Mixtures have the length that they were made with.
        max_seconds=0.0 if entry.waves else shares.max_seconds,
        min_recordings=shares.sid_min_recordings if entry.known_speakers else 0,
        transcribed=entry.transcribed,
        share=shares.share,
    )


def unfit(name: str, config: Config, recordings: Sequence[Recording]) -> DaisyError | None:
    """What keeps the uses of a corpus from it, if anything does.

    Args:
        name: What the config names it for.
        config: The config.
        recordings: Those of the corpus; a length of 0 samples is not known yet.
    """
    if name == NOISE:
        return _unfit_noise(config, recordings)
    sharing = [task for task in config.tasks if TASKS[task].corpus == name and not config.data.corpora.get(task)]
    for task in dict.fromkeys([*([name] if name == SPEECH or name in config.tasks else []), *sharing]):
        settings = manifest_settings(config, task)
        try:
            problem = missing(recordings, choose(partition(recordings, settings.splits), settings), settings)
        except DaisyError as error:
            return error
        if problem:
            return DaisyError(f"{problem} ({task})", fix="Add recordings, or change the column split or data.splits")
        bare = [item.id for item in recordings if not item.references]
        if task in TASKS and TASKS[task].waves and bare:
            problem = f"{len(bare)} recordings have no references for {task}: {some(bare)}"
            return DaisyError(problem, fix="Name the files that each was mixed from in the column references")
    return None


def _unfit_noise(config: Config, recordings: Sequence[Recording]) -> DaisyError | None:
    kinds = {item.speaker for item in recordings if item.split in ("test", "")}
    for kind in config.noise.kinds if config.noise.tasks else ():
        if kind not in {*kinds, WHITE}:
            known = some(sorted(kinds), 5)
            problem = f"noise.kinds names {kind!r}, but the column speaker of recordings for tests has {known}"
            return DaisyError(problem, fix="Correct noise.kinds, or the column")
    return None
