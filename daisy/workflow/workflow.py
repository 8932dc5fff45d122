"""One run, whole: what is made of it, from corpora to the report, and the list of its final files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daisy.errors import DaisyError
from daisy.exits.method import FULL, STUDENT, Method, rho_name
from daisy.library.settings import BundleSettings
from daisy.report.settings import (
    BudgetSettings,
    ClaimsSettings,
    ExamplesSettings,
    Nothing,
    ReportSettings,
    System,
    TablesSettings,
)
from daisy.tasks.registry import TASKS
from daisy.workflow.ablation import Ablation
from daisy.workflow.config import check_parts
from daisy.workflow.context import Context, Job, job
from daisy.workflow.corpora import Corpora
from daisy.workflow.digests import code_digests
from daisy.workflow.frozen import Frozen
from daisy.workflow.inputs import foreseen, places
from daisy.workflow.models import Models
from daisy.workflow.noise import NoiseStudy
from daisy.workflow.sections import Part
from daisy.workflow.settings import LinksSettings
from daisy.workflow.several import together, tried
from daisy.workflow.signals import Signals
from daisy.workflow.sizes import Sizes
from daisy.workflow.student import Student
from daisy.workflow.upstream import Upstream

TABLES = ("grid", "dev", "entropy", "exits", "thresholds", "candidates", "table1", "seeds")
FIGURES = ("fig2_entropy", "fig3_tradeoff")
ENDINGS = ("png", "svg")


class Workflow:
    """All stages of a run.

    Args:
        values: The merged config.
        project: The folder of the Snakefile.

    Attributes:
        context: The config, typed, and the run's folders.
        corpora: Corpora and manifests.
        frozen: The hidden states of every task.
        student: The student and its hidden states; None without that method.
        upstream: Labels, branches and entropies.
        models: Thresholds, downstream models and evaluations.
        noise: The noise study.
        ablation: The ablation of targets.
        signals: The comparison of signals.
        sizes: What jobs write to the disk.

    Raises:
        DaisyError: if the config or what it names is wrong.
    """

    def __init__(self, values: Mapping[str, Any], project: Path) -> None:
        self.context = Context(values, project)
        self.config = self.context.config
        self.corpora = self._checked_corpora()
        self.upstream = Upstream(self.context, self.corpora, self.config.targets, self.context.tasks)
        methods = list(self.context.methods.values())
        own, model = [method for method in methods if method != STUDENT], {"hubert": self.context.checkpoint}
        self.frozen = Frozen(self.context, self.corpora, own, model)
        self.student = Student(self.context, self.corpora) if STUDENT in methods else None
        self.models = Models(
            self.context,
            self.corpora,
            self.frozen,
            self.upstream,
            self.context.cells,
            self.config.thresholds.rho,
            self.config.evaluation.oracle,
            self.student,
        )
        self.noise = NoiseStudy(self.context, self.corpora, self.models)
        self.ablation = Ablation(self.context, self.corpora, self.frozen)
        self.signals = Signals(self.context, self.corpora, self.models)
        self.sizes = Sizes(self.context, self.corpora)

    def _checked_corpora(self) -> Corpora:
        """The corpora, once nothing that the config names is at fault; else all that is seen to be wrong."""
        context = self.context
        unusable = places(context)
        # Where the cache cannot be written, corpora cannot be looked at.
        looks = (lambda: Corpora(context),) if not unusable else ()
        try:
            found = tried(lambda: check_parts(context.values), context.check_model, context.check_folder, *looks)
        except DaisyError as error:
            raise together([error, *unusable, *foreseen(context)]) from None
        if unusable:
            raise together([*unusable, *foreseen(context)])
        corpora = found[-1]
        assert corpora is not None
        return corpora

    # The final files

    @property
    def tables(self) -> list[str]:
        """The tables of results, `grid.csv` first."""
        asked = ("against_published",) if self.config.report.against_published else ()
        return [self.context.results(f"tables/{name}.csv") for name in (*TABLES, *asked)]

    @property
    def figures(self) -> list[str]:
        """The figures of results, in every format."""
        return self._figures(FIGURES)

    @property
    def noise_figures(self) -> list[str]:
        """The figures of the noise study."""
        return self._figures(self.noise.figures)

    @property
    def at_work_figures(self) -> list[str]:
        """The figure of the method at work; none without a noise study of DAISY."""
        return self._figures(("method_at_work",) if self.noise.at_work else ())

    @property
    def budgeted(self) -> bool:
        """Whether budgets are held against what test sets spend: where a threshold can decide anything."""
        return bool(self.bundled) and self.config.thresholds.floor < self.context.shape.layers

    @property
    def budget_table(self) -> list[str]:
        """What was asked and what was spent, if so."""
        return [self.context.results("tables/budget.csv")] if self.budgeted else []

    @property
    def budget_figures(self) -> list[str]:
        """The same as figures."""
        return self._figures(("budget",) if self.budgeted else ())

    def _figures(self, names: tuple[str, ...]) -> list[str]:
        return [self.context.results(f"figures/{name}.{ending}") for ending in ENDINGS for name in names]

    @property
    def outputs(self) -> list[str]:
        """Everything that a run leaves to be read."""
        pages = ("report.html", "store.csv", "model/daisy.safetensors")
        claims = self.context.results("tables/claims.csv")
        shown = [*self.tables, claims, *self.figures, *self.noise.tables, *self.noise_figures, *self.at_work_figures]
        shown += [*self.budget_table, *self.budget_figures]
        return [*shown, *(self.context.results(page) for page in pages)]

    # Names in paths

    @property
    def methods(self) -> dict[str, Method]:
        """Every method by its name, that of the ablation too."""
        return {**self.context.methods, self.ablation.method.name: self.ablation.method}

    @property
    def scales(self) -> list[str]:
        """The spelling of every scale that has thresholds, whether a method takes it or not."""
        return sorted({rho_name(rho) for rho in (*self.config.thresholds.rho, self.config.ablation.rho)})

    # Stages of the run's folder

    @property
    def resolved(self) -> Job:
        """The config itself, kept with the run."""
        return Job(json.dumps(self.context.values, sort_keys=True), code_digests("daisy.workflow.save_config"))

    @property
    def gathering(self) -> Job:
        """Every evaluation in a few tables."""
        return job("daisy.report.tables", TablesSettings(self.config.report.against_published))

    @property
    def judging(self) -> Job:
        """The claims and how they fared."""
        targets = self.config.targets
        layer = targets.layer if targets.kind == "kmeans" else None
        return job("daisy.report.judge", ClaimsSettings(tuple(self.noise.tasks), layer), self.context.tasks)

    @property
    def drawing(self) -> Job:
        """The tables as figures."""
        return job("daisy.report.figures", Nothing(), self.context.tasks)

    @property
    def bundled(self) -> list[tuple[str, Method, int]]:
        """DAISY's models, whose thresholds and histograms are bundled; of several seeds the first's."""
        first = self.context.first_seed
        return [(task, method, first) for task in sorted(self.context.tasks) for method in self.context.daisy]

    def entropies(self, part: Part) -> list[str]:
        """What branches say of a part of every task that DAISY is trained for, in the bundle's order."""
        tasks = dict.fromkeys(task for task, _, _ in self.bundled)
        return [f"{self.upstream.measured[task, part]}/entropies.npz" for task in tasks]

    @property
    def bundle(self) -> Job:
        """Branches, thresholds, histograms and what thresholds spend in one file."""
        q = {name: task.q for name, task in self.config.tasks.items()}
        chosen, absolute = self.config.thresholds, {}
        for task in self.context.tasks if chosen.rule == "absolute" else ():
            every = {f"{rho:g}": chosen.absolute_at(task, rho) for rho in chosen.rho}
            absolute[task] = {rho: tau for rho, tau in every.items() if tau is not None}
        return job("daisy.library.bundle", BundleSettings(absolute, q, chosen.floor))

    @property
    def budget(self) -> Job:
        """Budgets against what test sets spend."""
        tasks = tuple(dict.fromkeys(task for task, _, _ in self.bundled))
        config = self.config
        settings = BudgetSettings(tasks, config.thresholds.floor, config.evaluation.bootstrap_draws, config.seed)
        return job("daisy.report.budget", settings, self.context.tasks)

    @property
    def heard(self) -> list[Method]:
        """Listeners hear the full model, and DAISY at its largest scale, which stops the earliest."""
        largest = max(self.context.daisy, key=lambda method: method.rho or 0.0, default=None)
        return [FULL] + ([largest] if largest else [])

    def heard_models(self, task: str) -> list[str]:
        """The folders of a task's models that are heard."""
        return [self.models.downstream(task, method, self.context.first_seed) for method in self.heard]

    def toplines(self, tasks: Sequence[str]) -> list[str]:
        """The full model's evaluation on each of some tasks; of several seeds the first's."""
        first = self.context.first_seed
        return [f"{self.models.evaluation(task, FULL, first)}/evaluation.json" for task in tasks]

    def examples(self, task: str) -> Job:
        """What the systems that are heard make of a few recordings."""
        chosen, systems = self.config.report.examples, [System("Full model", FULL)]
        if self.context.daisy:
            strategy = self.config.evaluation.strategies[0]
            method = self.heard[-1]
            name = f"DAISY ρ {method.rho:g}, {strategy}"
            systems.append(System(name, method, strategy, self.config.tasks[task].q))
        signal = self.config.thresholds.signal
        settings = ExamplesSettings(chosen.count, chosen.seconds, self.config.seed, tuple(systems), signal)
        return job("daisy.report.examples", settings, [task])

    @property
    def playing(self) -> list[str]:
        """The tasks whose results can be heard."""
        return [task for task in self.context.tasks if TASKS[task].waves]

    @property
    def page(self) -> Job:
        """The report."""
        settings = ReportSettings(
            self.config.run,
            tuple(self.noise.tasks),
            self.config.report.against_published,
            self.noise.at_work is not None,
            self.budgeted,
        )
        return job("daisy.report.page", settings, self.context.tasks)

    @property
    def beside(self) -> list[str]:
        """The folders of tables of other runs that are compared with this one, of those that are there."""
        folders = [f"{self.config.results}/{name}/tables" for name in self.config.report.beside]
        return [folder for folder in folders if os.path.exists(f"{folder}/grid.csv")]

    @property
    def card(self) -> str:
        """What tells about the frozen model, beside its checkpoint; empty without one."""
        path = f"{os.path.splitext(self.context.checkpoint)[0]}.md"
        return path if os.path.exists(path) else ""

    def links(self, links: Mapping[str, str]) -> Job:
        """Links from a folder of the run into the store."""
        return job("daisy.workflow.links", LinksSettings(dict(links)))

    @property
    def stored(self) -> dict[str, str]:
        """What the run's folder links to."""
        stages = (self.corpora, self.frozen, self.upstream, self.models, self.noise)
        found = {name: folder for part in stages for name, folder in part.links.items()}
        return found | (self.student.links if self.student else {})
