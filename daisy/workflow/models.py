"""What is trained and evaluated with one upstream: thresholds, downstream models, cells of the grid."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from daisy.downstream.settings import DownstreamSettings, TaskExitsSettings, TaskThresholdsSettings
from daisy.evaluation.settings import EvaluationSettings
from daisy.exits.method import FULL, STUDENT, TASK_EXITS, Method, rho_name
from daisy.exits.signals import ENTROPY
from daisy.features.settings import CalibrationSettings
from daisy.tasks.registry import TASKS
from daisy.workflow.context import Cell, Context
from daisy.workflow.corpora import Corpora
from daisy.workflow.frozen import Frozen
from daisy.workflow.student import Student
from daisy.workflow.upstream import Upstream


class Models:
    """Stages of the store, from thresholds to evaluations.

    A stage is registered, with those before it, by asking for its folder; what is equal is one folder, whoever asks.

    Args:
        context: The run.
        corpora: Its corpora.
        frozen: Its hidden states.
        upstream: Whose exits they learn with.
        cells: Every model.
        rho: The scales of every task's threshold.
        oracle: The tasks whose DAISY an oracle stands beside.
        student: Of the cells whose method it is.

    Attributes:
        frozen: The hidden states.
        upstream: Whose exits they learn with.
        calibrations: Folder of the threshold of every task and scale.
        evaluations: Folder of the evaluation of every model.
    """

    def __init__(
        self,
        context: Context,
        corpora: Corpora,
        frozen: Frozen,
        upstream: Upstream,
        cells: Sequence[Cell],
        rho: Sequence[float],
        oracle: Collection[str] = (),
        student: Student | None = None,
    ) -> None:
        self._context, self._manifests, self._oracle = context, corpora.manifests, oracle
        self.frozen, self.upstream, self._student = frozen, upstream, student
        self._trainings: dict[Cell, str] = {}
        tasks = dict.fromkeys(task for task, _, _ in cells)
        self.calibrations = {(task, scale): self.calibration(task, scale) for task in tasks for scale in rho}
        self.evaluations = {cell: self.evaluation(*cell) for cell in cells}

    def calibration(self, task: str, rho: float) -> str:
        """The threshold of a task at one scale."""
        chosen = self._context.config.thresholds
        return self._context.store.add(
            f"calibration-{task}-{rho_name(rho)}",
            "daisy.features.calibrate",
            settings=CalibrationSettings(task, chosen.rule, rho, chosen.absolute_at(task, rho), chosen.signal),
            entropies=self.upstream.measured[task, "train"],
        )

    def downstream(self, task: str, method: Method, seed: int) -> str:
        """The training of a downstream model, a task's own exits among them."""
        cell = task, method, seed
        if cell not in self._trainings:
            # All that follows from a model asks for it.
            own = method == TASK_EXITS
            self._trainings[cell] = self._task_exits(task, seed) if own else self._downstream(task, method, seed)
        return self._trainings[cell]

    def _downstream(self, task: str, method: Method, seed: int) -> str:
        """The training of a model for a method that takes its exits from elsewhere."""
        config, chosen = self._context.config, self._context.config.tasks[task]
        settings = DownstreamSettings(
            **self._shared(task, seed),
            options=self._options(task),
            method=method,
            states=self._read(method).kind(method),
            granularity=config.downstream.granularity if method.by_entropy else "utterance",
            fusion=config.downstream.fusion,
            steps=chosen.steps,
            learning_rate=chosen.learning_rate,
            # A floor concerns exits by entropy alone.
            floor=config.thresholds.floor if method.by_entropy else 1,
        )
        return self._context.store.add(
            f"downstream-{task}-{method.name}-seed{seed}",
            "daisy.downstream.train",
            settings=settings,
            tasks=[task],
            train_entropies=self.upstream.entropies(task, "train", method),
            dev_entropies=self.upstream.entropies(task, "dev", method),
            calibration="" if method.rho is None else self.calibration(task, method.rho),
            **self._learns_from(task, method),
        )

    def _learns_from(self, task: str, method: Method) -> dict[str, str]:
        """The recordings that the trainings of all models of a task read."""
        return {
            "manifest": self._manifests[task],
            "train_states": self._read(method).states(task, "train", method),
            "dev_states": self._read(method).states(task, "dev", method),
            **self._read(method).model(task, "train", "dev"),
        }

    def _read(self, method: Method) -> Frozen:
        """The hidden states that a method reads."""
        return self._student.frozen if self._student and method == STUDENT else self.frozen

    def _running(self, method: Method) -> dict[str, str]:
        """What really runs when a method is timed: the model with branches, if it asks any, or a student.

        A student is timed beside the full model, which is another.
        """
        if method.by_entropy:
            return {"upstream": self.upstream.branches}
        student = {"student": self._student.folder} if self._student and method == STUDENT else {}
        return {"hubert": self._context.checkpoint, **student}

    def _options(self, task: str) -> dict[str, Any]:
        """The task's part of the config; a task that makes signals also asks how far the model's frames are apart."""
        chosen = self._context.config.tasks[task].options
        return {**chosen, "hop": self._context.shape.hop} if TASKS[task].waves else chosen

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

    def _task_exits(self, task: str, seed: int) -> str:
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
        return self._context.store.add(
            f"task_exits-{task}-seed{seed}",
            "daisy.downstream.train_task_exits",
            settings=settings,
            tasks=[task],
            **self._learns_from(task, TASK_EXITS),
        )

    def exits(self, task: str, method: Method, seed: int) -> str:
        """Where training exits and thresholds are: beside the model, or at every scale for a task's own exits."""
        made = self.downstream(task, method, seed)
        if method != TASK_EXITS:
            return made
        chosen = self._context.config.thresholds
        return self._context.store.add(
            f"task_thresholds-{task}-seed{seed}",
            "daisy.downstream.task_thresholds",
            settings=TaskThresholdsSettings(task, chosen.rho, chosen.floor),
            task_exits=made,
        )

    def evaluation(self, task: str, method: Method, seed: int) -> str:
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
            signal=self._context.config.thresholds.signal if method.by_entropy else ENTROPY,
        )
        judged = method.by_entropy and task in self._oracle
        return self._context.store.add(
            f"evaluation-{task}-{method.name}-seed{seed}",
            "daisy.evaluation.evaluate",
            settings=settings,
            tasks=[task],
            manifest=self._manifests[task],
            states=self._read(method).states(task, "test", method),
            entropies=self.upstream.entropies(task, "test", method),
            dev_states=self._read(method).states(task, "dev", method),
            dev_entropies=self.upstream.entropies(task, "dev", method),
            **self._running(method),
            downstream=self.downstream(task, method, seed),
            exits=self.exits(task, method, seed),
            topline=self.downstream(task, FULL, seed),
            # An oracle compares DAISY's predictions with the full model's.
            topline_evaluation=self.evaluation(task, FULL, seed) if judged else "",
        )

    # Files

    def threshold_file(self, task: str, rho: float) -> str:
        """The threshold of a task at one scale."""
        return f"{self.calibration(task, rho)}/threshold.json"

    def exits_file(self, task: str, method: Method, seed: int) -> str:
        """The training exits of a downstream model."""
        return f"{self.exits(task, method, seed)}/exits.json"

    @property
    def threshold_files(self) -> list[str]:
        """Every threshold."""
        return [self.threshold_file(task, rho) for task, rho in self.calibrations]

    @property
    def evaluation_files(self) -> list[str]:
        """Every evaluation."""
        return [f"{folder}/evaluation.json" for folder in self.evaluations.values()]

    @property
    def links(self) -> dict[str, str]:
        """What the run's folder links to."""
        found = {
            f"calibration/{task}/{rho_name(rho)}.json": self.threshold_file(task, rho)
            for task, rho in self.calibrations
        }
        for (task, method, seed), folder in self.evaluations.items():
            found[f"evaluation/{task}/seed{seed}/{method.name}.json"] = f"{folder}/evaluation.json"
            place, made = f"downstream/{task}/seed{seed}/{method.name}", self.downstream(task, method, seed)
            if method == TASK_EXITS:
                names = ("model.safetensors", "entropies.npz", "history.csv")
                found |= {f"{place}/{name}": f"{made}/{name}" for name in names}
                found[f"{place}/exits.json"] = self.exits_file(task, method, seed)
            else:
                found[place] = made
        return found
