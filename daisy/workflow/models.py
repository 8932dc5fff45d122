"""What is trained and evaluated with one upstream: thresholds, downstream models, cells of the grid."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from daisy.downstream.settings import DownstreamSettings, TaskExitsSettings, TaskThresholdsSettings
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.method import FULL, TASK_EXITS, Method
from daisy.features.settings import CalibrationSettings
from daisy.tasks.registry import TASKS
from daisy.workflow.context import Context, Job, job
from daisy.workflow.frozen import Frozen
from daisy.workflow.upstream import Upstream


class Models:
    """Stages of a run's folder, or of one part of it.

    Args:
        context: The run.
        frozen: Its hidden states.
        upstream: Whose exits they learn with.
        home: The folder in which they are.
    """

    def __init__(self, context: Context, frozen: Frozen, upstream: Upstream, home: str) -> None:
        self._context, self.frozen, self.upstream, self.home = context, frozen, upstream, home

    def calibration(self, task: str, rho: float) -> Job:
        """The threshold of a task at one scale."""
        chosen = self._context.config.thresholds
        settings = CalibrationSettings(task, chosen.rule, rho, chosen.absolute_at(task, rho))
        return job("daisy.features.calibrate", settings)

    def threshold(self, task: str, method: Method) -> list[str]:
        """The file of the threshold that a method exits by; none for a fixed exit."""
        return [f"{self.home}/calibration/{task}/{method.scale}.json"] if method.by_entropy else []

    def folder(self, task: str, seed: int | str, method: str) -> str:
        """The folder of a downstream model."""
        return f"{self.home}/downstream/{task}/seed{seed}/{method}"

    def downstream(self, task: str, method: Method, seed: int) -> Job:
        """The training of a downstream model."""
        config, chosen = self._context.config, self._context.config.tasks[task]
        settings = DownstreamSettings(
            **self._shared(task, seed),
            options=self._options(task),
            method=method,
            states=self.frozen.kind(method),
            granularity=config.downstream.granularity if method.by_entropy else "utterance",
            fusion=config.downstream.fusion,
            steps=chosen.steps,
            learning_rate=chosen.learning_rate,
            # A floor concerns exits by entropy alone.
            floor=config.thresholds.floor if method.by_entropy else 1,
        )
        return job("daisy.downstream.train", settings, [task])

    def _options(self, task: str) -> dict[str, Any]:
        """The task's part of the config; a task that makes signals also asks how far the model's frames are apart."""
        chosen = self._context.config.tasks[task].options
        return {**chosen, "hop": self._context.hop} if TASKS[task].waves else chosen

    def _shared(self, task: str, seed: int) -> dict[str, Any]:
        """What the trainings of all models of a task have in common."""
        config, chosen = self._context.config, self._context.config.tasks[task]
        return {
            "task": task,
            "batch_size": chosen.batch_size,
            "optimizer": chosen.optimizer,
            "schedule": chosen.schedule,
            "clip": config.downstream.clip,
            "dev_every": chosen.dev_every,
            "seed": seed,
            "save_every": config.downstream.save_every,
            "accumulate": chosen.accumulate,
            "batches": chosen.batches,
            "compute": self._context.compute,
        }

    def task_exits(self, task: str, seed: int) -> Job:
        """The training of a task's own exits, which no scale takes part in."""
        chosen = self._context.config.tasks[task]
        assert chosen.task_exits is not None
        settings = TaskExitsSettings(
            **self._shared(task, seed),
            options={name: chosen.options[name] for name in TASKS[task].exits or ()},
            states=self.frozen.kind(TASK_EXITS),
            steps=chosen.task_exits.steps,
            learning_rate=chosen.task_exits.learning_rate,
        )
        return job("daisy.downstream.train_task_exits", settings, [task])

    def task_thresholds(self, task: str) -> Job:
        """The thresholds of a task's own exits, at every scale."""
        chosen = self._context.config.thresholds
        return job("daisy.downstream.task_thresholds", TaskThresholdsSettings(task, chosen.rho, chosen.floor))

    def state(self, task: str, method: Method, seed: int) -> str:
        """Folder for the state of an unfinished training, of just these settings and this code."""
        this = self.task_exits(task, seed) if method == TASK_EXITS else self.downstream(task, method, seed)
        parts = json.dumps([this.settings, this.code], sort_keys=True)
        return f"{self.home}/state/{task}-{method.name}-seed{seed}-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"

    def evaluation(self, task: str, method: Method, seed: int) -> Job:
        """The evaluation of a downstream model: a cell per strategy (and scale), or one for a fixed exit."""
        chosen, q = self._context.config.evaluation, self._context.config.tasks[task].q
        settings = EvaluationSettings(
            method=method,
            strategies=dict.fromkeys(chosen.strategies, q) if method.adaptive else {},
            draws=chosen.bootstrap_draws,
            timed=chosen.timed_recordings,
            rounds=chosen.timing_rounds,
            seed=self._context.config.seed,
            training_seed=seed,
            compute=self._context.exact,
        )
        return job("daisy.evaluation.evaluate", settings, [task])

    def runs(self, method: Method) -> str:
        """The model that really runs when a method is timed: with branches, if it asks any."""
        return self.upstream.file if method.by_entropy else self._context.checkpoint

    def topline_evaluation(self, task: str, method: Method, seed: int | str) -> list[str]:
        """What an oracle compares DAISY's predictions with, where the run wants one; variants of targets have none."""
        wanted = task in self._context.config.evaluation.oracle and method.by_entropy
        own = self.home == self._context.home
        return [f"{self.home}/evaluation/{task}/seed{seed}/{FULL.name}.json"] if wanted and own else []

    def topline(self, task: str, seed: int | str) -> str:
        """The folder of the full model's downstream model, which no branch touches: the run's own."""
        return f"{self._context.home}/downstream/{task}/seed{seed}/{FULL.name}"
