"""What is trained and evaluated with one upstream: thresholds, downstream models, cells of the grid."""

from __future__ import annotations

import hashlib
import json

from daisy.downstream.settings import DownstreamSettings
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.method import FULL, Method
from daisy.features.settings import CalibrationSettings
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
            task=task,
            options=chosen.options,
            method=method,
            states=self.frozen.kind(method),
            granularity=config.downstream.granularity if method.by_entropy else "utterance",
            fusion=config.downstream.fusion,
            steps=chosen.steps,
            batch_size=chosen.batch_size,
            optimizer=chosen.optimizer,
            learning_rate=chosen.learning_rate,
            schedule=chosen.schedule,
            clip=config.downstream.clip,
            dev_every=chosen.dev_every,
            seed=seed,
            save_every=config.downstream.save_every,
            # A floor concerns exits by entropy alone.
            floor=config.thresholds.floor if method.by_entropy else 1,
            accumulate=chosen.accumulate,
            batches=chosen.batches,
            compute=self._context.compute,
        )
        return job("daisy.downstream.train", settings, [task])

    def state(self, task: str, method: Method, seed: int) -> str:
        """Folder for the state of an unfinished training, of just these settings and this code."""
        this = self.downstream(task, method, seed)
        parts = json.dumps([this.settings, this.code], sort_keys=True)
        return f"{self.home}/state/{task}-{method.name}-seed{seed}-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"

    def evaluation(self, task: str, method: Method, seed: int) -> Job:
        """The evaluation of a downstream model: a cell per strategy, or one for a fixed exit."""
        chosen, q = self._context.config.evaluation, self._context.config.tasks[task].q
        settings = EvaluationSettings(
            method=method,
            strategies=dict.fromkeys(chosen.strategies, q) if method.by_entropy else {},
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

    def topline(self, task: str, seed: int | str) -> str:
        """The folder of the full model's downstream model, which no branch touches: the run's own."""
        return f"{self._context.home}/downstream/{task}/seed{seed}/{FULL.name}"
