"""The noise study: noisy test recordings, their states and entropies, and what every method makes of them."""

from __future__ import annotations

from daisy.exits.method import STUDENT, TASK_EXITS, Method
from daisy.hubert.config import States
from daisy.noise.settings import NoiseTasks, NoisySettings, StudySettings
from daisy.report.settings import AtWorkSettings
from daisy.workflow.context import Context, Job, job
from daisy.workflow.corpora import Corpora
from daisy.workflow.models import Models

WER_TASK = "asr"
"""The task whose error rates are studied; of the others, exits alone."""

SHOWN = "min-max"
"""The strategy of the figure of the method at work, if the run has it: the one that leaves exits the most freedom."""

RESULTS = ("exits", "wer", "guard")
"""What is written of every task and method."""


class NoiseStudy:
    """Stages of the noise study.

    Args:
        context: The run.
        corpora: Its corpora.
        models: Its downstream models.

    Attributes:
        tasks: Whose exits are studied.
        recordings: Folder of a task's noisy test recordings.
        states: Folder of the states of every kind that error rates need; none if they are made while they are used.
        measured: Folder of a task's entropies.
        evaluations: Folder of what every task and method makes of the recordings.
    """

    def __init__(self, context: Context, corpora: Corpora, models: Models) -> None:
        self._context, self._corpora, self._models = context, corpora, models
        self._chosen = context.config.noise
        self.tasks = list(self._chosen.tasks)
        self.recordings = {task: self._recordings(task) for task in self.tasks}
        studied = WER_TASK in self.tasks and models.frozen.keeps(WER_TASK, "test")
        self.states = {kind: self._states(kind) for kind in models.frozen.kinds} if studied else {}
        self.measured = {
            task: models.upstream.measure(f"noise_entropies-{task}", folder) for task, folder in self.recordings.items()
        }
        self.evaluations = {
            (task, method.name): self.evaluation(task, method) for task in self.tasks for method in self.methods(task)
        }

    def _recordings(self, task: str) -> str:
        chosen = self._chosen
        drawn = NoisySettings(self._context.config.seed, chosen.recordings, chosen.kinds, chosen.snr_db)
        manifests, noise = self._corpora.manifests[task], self._corpora.folders["noise"]
        return self._context.store.add(
            f"noisy-{task}", "daisy.noise.noisy", settings=drawn, manifest=manifests, noise=noise
        )

    def _states(self, kind: States) -> str:
        # Stored like those of training: an error rate does not mind rounding, and its exits are known.
        return self._models.frozen.add(f"noise_states-{WER_TASK}", kind, WER_TASK, "noise", self.recordings[WER_TASK])

    def methods(self, task: str) -> list[Method]:
        """Every method of the paper has a word error rate; for the exits of the other tasks DAISY is enough."""
        every = [method for method in self._context.methods.values() if method not in (TASK_EXITS, STUDENT)]
        return every if task == WER_TASK else self._context.daisy

    def evaluation(self, task: str, method: Method) -> str:
        """What one method makes of a task's noisy recordings."""
        config = self._context.config
        settings = StudySettings(
            method=method,
            strategies=dict.fromkeys(config.evaluation.strategies, config.tasks[task].q) if method.by_entropy else {},
            floor=config.thresholds.floor,
            floors=self._chosen.floors if method.by_entropy else (),
            draws=config.evaluation.bootstrap_draws,
            seed=config.seed,
            compute=self._context.exact,
        )
        models, seed = self._models, self._context.first_seed
        return self._context.store.add(
            f"noise_evaluation-{task}-{method.name}",
            "daisy.noise.evaluate",
            settings=settings,
            tasks=[task],
            recordings=self.recordings[task],
            entropies=self.measured[task] if method.by_entropy else "",
            exits=models.exits(task, method, seed),
            **(self._recognises(method) if task == WER_TASK else {}),
        )

    def _recognises(self, method: Method) -> dict[str, str]:
        """What error rates need: a downstream model and the states that it reads, or who makes them meanwhile."""
        return {
            "downstream": self._models.downstream(WER_TASK, method, self._context.first_seed),
            "states": self.states.get(self._models.frozen.kind(method), ""),
            **self._models.frozen.model(WER_TASK, "test"),
        }

    @property
    def gathering(self) -> Job:
        """Everything in a few tables."""
        return job("daisy.noise.tables", NoiseTasks(tuple(self.tasks)))

    @property
    def drawing(self) -> Job:
        """The tables as figures."""
        return job("daisy.report.noise_figures", NoiseTasks(tuple(self.tasks)), self._context.tasks)

    @property
    def at_work(self) -> AtWorkSettings | None:
        """What the figure of the method at work shows: DAISY at its largest scale, whose exits differ the most.

        None without a noise study, or without DAISY.
        """
        if not self.tasks or not self._context.daisy:
            return None
        task = WER_TASK if WER_TASK in self.tasks else self.tasks[0]
        method = max(self._context.daisy, key=lambda item: item.rho or 0.0)
        strategies = self._context.config.evaluation.strategies
        strategy = SHOWN if SHOWN in strategies else strategies[0]
        config = self._context.config
        return AtWorkSettings(task, method, strategy, config.tasks[task].q, config.thresholds.signal)

    @property
    def showing(self) -> Job:
        """The figure of the method at work."""
        shown = self.at_work
        return job("daisy.report.at_work", shown, [shown.task] if shown else [])

    @property
    def shown_exits(self) -> str:
        """Threshold and training exits of the method that is shown at work."""
        shown = self.at_work
        assert shown is not None
        return f"{self._models.exits(shown.task, shown.method, self._context.first_seed)}/exits.json"

    @property
    def tables(self) -> list[str]:
        """The tables of the study; none if there is no study."""
        exits = [f"noise{'' if task == WER_TASK else f'_{task}'}" for task in self.tasks]
        names = [*exits, "noise_wer", "noise_guard"] if exits else []
        return [self._context.results(f"tables/{name}.csv") for name in names]

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of its figures."""
        return ("fig4_noise_exits", "fig5_noise_wer") if self.tasks else ()

    @property
    def links(self) -> dict[str, str]:
        """What the run's folder links to."""
        recordings = {f"noisy/{task}": folder for task, folder in self.recordings.items()}
        own = self._context.config.branches.position
        states = {
            f"noise_states{'' if kind == own else f'-{kind}'}/{WER_TASK}": folder
            for kind, folder in self.states.items()
        }
        measured = {f"noise_entropies/{task}": folder for task, folder in self.measured.items()}
        evaluated = {f"noise/{task}/{method}": folder for (task, method), folder in self.evaluations.items()}
        return recordings | states | measured | evaluated
