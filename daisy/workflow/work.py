"""How much work a job would do, by unit: from the config and the manifests, or what is expected before they are made.

The units are those that the stages count (`daisy.common.spent`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daisy.features.view import view_of
from daisy.workflow import disk
from daisy.workflow.context import Context
from daisy.workflow.corpora import SPEECH
from daisy.workflow.estimates import Ran, weight
from daisy.workflow.noise import WER_TASK
from daisy.workflow.sections import PARTS
from daisy.workflow.sizes import Sizes

FIXED = ("features.calibrate", "downstream.task_thresholds", "library.bundle", "noise.tables")
"""Stages that take seconds whatever the corpora, as all of the rooms below do: they read means and tables."""

FIXED_ROOMS = ("report", "workflow")

Amounts = Mapping[str, float]


class _Unknown(Exception):
    """Nobody knows yet how much audio there is."""


class Work:
    """The work of a run's jobs.

    Args:
        context: The run.
        sizes: How much audio its corpora have.
    """

    def __init__(self, context: Context, sizes: Sizes) -> None:
        self._context, self._config, self._sizes = context, context.config, sizes
        self._stages: Mapping[str, Callable[[Ran], Amounts]] = {
            "corpora.embedded": lambda job: {"recordings": disk.embedded(job.settings["packages"]).recordings},
            "corpora.commands": lambda job: {"recordings": _counts(job)},
            "corpora.enhancement": lambda job: {"mixtures": _counts(job)},
            "corpora.separation": lambda job: {"mixtures": _counts(job)},
            "corpora.noise": _noise,
            "corpora.manifests": lambda job: {"recordings": sum(self._part(job.task, part)[0] for part in PARTS)},
            "published_corpus": self._published,
            "targets.dump": lambda job: {"s of audio": self._speech(job) * job.settings["utterances"]},
            "targets.kmeans": self._clusters,
            "targets.label": lambda job: {"s of audio": self._speech(job)},
            "targets.join": lambda job: {"s of audio": self._speech(job)},
            "branches.train": lambda job: {"steps": job.settings["steps"]},
            "students.distil": lambda job: {"steps": job.settings["steps"]},
            "features.states": lambda job: {"s of audio": self._audio(job).seconds},
            "features.entropies": lambda job: {"s of audio": self._audio(job).seconds},
            "features.signals": lambda job: {"s of audio": self._part(job.task, "test").seconds},
            "downstream.train": self._training,
            "downstream.train_task_exits": self._task_exits,
            "evaluation.evaluate": self._evaluation,
            "evaluation.layers": lambda job: {"test frames": self._frames(job.task, "test")},
            "noise.noisy": self._noisy,
            "noise.evaluate": self._study,
        }

    def amounts(self, job: Ran) -> Amounts | None:
        """By unit, how much a job would do, weighted as `daisy.workflow.estimates` does; None if nobody knows yet."""
        if job.stage in FIXED or job.stage.split(".")[0] in FIXED_ROOMS:
            return {}
        if job.stage not in self._stages:
            return None
        try:
            facts = self._facts(job)
            return {
                unit: size * (weight(job, unit, facts) or 0.0) for unit, size in self._stages[job.stage](job).items()
            }
        except _Unknown:
            return None

    def _facts(self, job: Ran) -> dict[str, Any]:
        """What a record of the job would note."""
        if job.stage.startswith("downstream."):
            return {"frames_per_recording": self._frames(job.task, "train") / self._part(job.task, "train").recordings}
        if job.stage in ("branches.train", "students.distil"):
            return {"seconds_per_step": self._sizes.step(job.settings["batch_seconds"])}
        if job.stage == "noise.noisy":
            test = self._part(job.task, "test")
            return {"seconds_per_recording": test.seconds / test.recordings}
        return {}

    # Audio

    def _part(self, task: str, part: str) -> disk.Audio:
        audio = self._sizes.audio(task, part)
        if not audio.recordings:
            raise _Unknown
        return audio

    def _audio(self, job: Ran) -> disk.Audio:
        """The recordings that a pass of the frozen model reads: a task's part, or its noisy ones."""
        self._part(job.task, "test")
        return self._part(job.task, job.wildcards["part"]) if "part" in job.wildcards else self._sizes.noisy(job.task)

    def _speech(self, job: Ran) -> float:
        """Seconds of the branches' speech that one job reads."""
        return self._part(SPEECH, "train").seconds / int(job.wildcards.get("nshard", 1))

    def _frames(self, task: str, part: str) -> float:
        """Frames of a task's part, as a downstream model sees them."""
        return self._seen(task, self._part(task, part))

    def _seen(self, task: str, audio: disk.Audio) -> float:
        pooled = view_of(task, self._config.tasks[task].options, self._config.branches.position).pooled
        return float(audio.recordings) if pooled else audio.seconds * disk.SAMPLE_RATE / self._context.shape.hop

    # Stages

    def _published(self, job: Ran) -> Amounts:
        name = job.wildcards["published"]
        return {"recordings": sum(self._sizes.published(name, part).recordings for part in PARTS)}

    def _clusters(self, job: Ran) -> Amounts:
        targets = self._config.targets
        frames = self._part(SPEECH, "train").seconds * disk.SAMPLE_RATE / self._context.shape.hop
        return {"frames times clusters": frames * targets.utterances * targets.share * job.settings["clusters"]}

    def _training(self, job: Ran) -> Amounts:
        steps, every = job.settings["steps"], job.settings["dev_every"]
        looks = steps // every + (steps % every > 0)
        return {"steps": steps, "dev frames": looks * self._frames(job.task, "dev")}

    def _task_exits(self, job: Ran) -> Amounts:
        return {**self._training(job), "train frames": self._frames(job.task, "train")}

    def _evaluation(self, job: Ran) -> Amounts:
        test, frames = self._part(job.task, "test"), self._frames(job.task, "test")
        audio = min(job.settings["timed"], test.recordings) * test.seconds / test.recordings
        timed = audio * (job.settings["rounds"] + 1)
        as_they_are = {"test frames, as they are": frames} if job.settings["method"]["kind"] == "full" else {}
        read = {"test frames": frames, "dev frames": self._frames(job.task, "dev")}
        return {**read, "s of audio, checked": audio, "s of audio, timed": timed, **as_they_are}

    def _noisy(self, job: Ran) -> Amounts:
        return {"recordings": min(job.settings["recordings"], self._part(job.task, "test").recordings)}

    def _study(self, job: Ran) -> Amounts:
        if job.task != WER_TASK:
            return {}  # exits alone, by entropies that are there
        self._part(job.task, "test")
        return {"test frames": self._seen(job.task, self._sizes.noisy(job.task))}


def _counts(job: Ran) -> int:
    return sum(job.settings[part] for part in PARTS)


def _noise(job: Ran) -> Amounts:
    return {"s of audio": len(job.settings["kinds"]) * job.settings["tracks"] * job.settings["seconds"]}
