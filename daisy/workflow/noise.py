"""The noise study: noisy test recordings, their features, and what every method makes of them."""

from __future__ import annotations

from daisy.exits.method import Method
from daisy.features.settings import FeaturesSettings
from daisy.noise.settings import NoiseTasks, NoisySettings, StudySettings
from daisy.tasks.registry import TASKS
from daisy.workflow.context import Context, Job, job
from daisy.workflow.corpora import Corpora
from daisy.workflow.models import Models

WER_TASK = "asr"
"""The task whose error rates are studied; of the others, exits alone."""

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
        features: Folder of their states and entropies.
    """

    def __init__(self, context: Context, corpora: Corpora, models: Models) -> None:
        self._context, self._corpora, self._models = context, corpora, models
        self._chosen = context.config.noise
        self.tasks = list(self._chosen.tasks)
        self.recordings = {task: self._recordings(task) for task in self.tasks}
        self.features = {task: self._features(task) for task in self.tasks}

    def _recordings(self, task: str) -> str:
        chosen = self._chosen
        drawn = NoisySettings(self._context.config.seed, chosen.recordings, chosen.kinds, chosen.snr_db)
        manifests, noise = self._corpora.manifests[task], self._corpora.source("noise")
        return self._context.store.add(
            f"noisy-{task}", "daisy.noise.noisy", settings=drawn, manifest=manifests, noise=noise
        )

    def _features(self, task: str) -> str:
        config = self._context.config
        return self._context.store.add(
            f"noise_features-{task}",
            "daisy.features.states",
            settings=FeaturesSettings(
                # Of the other tasks the entropies alone are used: the states are kept as small as can be.
                pooled=task != WER_TASK or TASKS[task].pooled,
                storage="float16",
                batch_seconds=config.upstream.batch_seconds,
                keep="test" in config.tasks[task].keep_states,
                compute=self._context.exact,
            ),
            manifest=self.recordings[task],
            upstream=self._models.upstream.branches,
        )

    def methods(self, task: str) -> list[Method]:
        """Every method has a word error rate; for the exits of the other tasks DAISY is enough."""
        return list(self._context.methods.values()) if task == WER_TASK else self._context.daisy

    def evaluation(self, task: str, method: Method) -> Job:
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
        return job("daisy.noise.evaluate", settings, [task])

    def downstream(self, task: str, method: str) -> list[str]:
        """The downstream model that reads the noisy recordings, where error rates are studied."""
        folder = self._models.folder(task, self._context.first_seed, method)
        return [f"{folder}/model.safetensors"] if task == WER_TASK else []

    def streams(self, task: str) -> list[str]:
        """The model that makes states while they are used, where a downstream model needs them and none are kept."""
        return self._models.upstream.streams(task, "test") if task == WER_TASK else []

    @property
    def gathering(self) -> Job:
        """Everything in a few tables."""
        return job("daisy.noise.tables", NoiseTasks(tuple(self.tasks)))

    @property
    def drawing(self) -> Job:
        """The tables as figures."""
        return job("daisy.report.noise_figures", NoiseTasks(tuple(self.tasks)), self._context.tasks)

    @property
    def folders(self) -> list[str]:
        """Where the results of every task and method are."""
        pairs = [(task, method) for task in self.tasks for method in self.methods(task)]
        return [self._context.results(f"noise/{task}/{method.name}") for task, method in pairs]

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
        return recordings | {f"noise_features/{task}": folder for task, folder in self.features.items()}
