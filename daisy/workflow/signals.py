"""The comparison of signals: all of them measured on test sets, and models judged at every layer."""

from __future__ import annotations

from daisy.evaluation.settings import LayersSettings
from daisy.exits.method import Method
from daisy.exits.signals import SIGNALS
from daisy.features.settings import SignalsSettings
from daisy.report.settings import SignalsTableSettings
from daisy.workflow.context import Context, Job, job
from daisy.workflow.corpora import Corpora
from daisy.workflow.models import Models


class Signals:
    """Stages of the store that a comparison of signals adds to a run, and its table.

    Args:
        context: The run.
        corpora: Its corpora.
        models: Its downstream models.

    Attributes:
        tasks: The tasks whose models are judged at every layer, for the oracle's sake: of the run's, in its order.
        measured: Folder of a task's signals.
        layers: Folder of what every model of DAISY's makes of every layer.
    """

    def __init__(self, context: Context, corpora: Corpora, models: Models) -> None:
        self._context, self._manifests, self._models = context, corpora.manifests, models
        self.tasks = [task for task in context.tasks if context.daisy and task in context.config.evaluation.oracle]
        self.measured = {task: self._measured(task) for task in self.tasks}
        self.layers = {(task, method): self._layers(task, method) for task in self.tasks for method in self._by_scale}

    @property
    def _by_scale(self) -> list[Method]:
        return sorted(self._context.daisy, key=lambda method: method.rho or 0.0)

    def _measured(self, task: str) -> str:
        settings = SignalsSettings(SIGNALS, self._context.config.upstream.batch_seconds, self._context.exact)
        return self._context.store.add(
            f"signals-{task}",
            "daisy.features.signals",
            settings=settings,
            manifest=self._manifests[task],
            upstream=self._models.upstream.branches,
        )

    def _layers(self, task: str, method: Method) -> str:
        models, seed = self._models, self._context.first_seed
        return self._context.store.add(
            f"layers-{task}-{method.name}",
            "daisy.evaluation.layers",
            settings=LayersSettings(self._context.exact),
            tasks=[task],
            manifest=self._manifests[task],
            states=models.frozen.states(task, "test", method),
            upstream=models.upstream.branches,
            downstream=models.downstream(task, method, seed),
        )

    @property
    def table(self) -> Job:
        """The comparison itself."""
        config = self._context.config
        settings = SignalsTableSettings(
            tuple(self.tasks),
            tuple(method.rho or 0.0 for method in self._by_scale),
            config.thresholds.floor,
            config.evaluation.bootstrap_draws,
            config.seed,
            config.thresholds.signal,
        )
        return job("daisy.report.signals", settings, self._context.tasks)

    @property
    def measured_files(self) -> list[str]:
        """The signals, one file per task."""
        return [f"{folder}/signals.npz" for folder in self.measured.values()]

    @property
    def layer_files(self) -> list[str]:
        """The results per layer, one file per task and scale."""
        return [f"{folder}/layers.npz" for folder in self.layers.values()]

    @property
    def links(self) -> dict[str, str]:
        """What the folder of the comparison links to."""
        found = {f"measured/{task}": folder for task, folder in self.measured.items()}
        return found | {f"layers/{task}/{method.name}": folder for (task, method), folder in self.layers.items()}
