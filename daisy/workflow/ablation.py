"""The ablation of targets: other labels for the branches, and the same stages on their features."""

from __future__ import annotations

import dataclasses

from daisy.exits.method import Method
from daisy.report.settings import AblationSettings
from daisy.workflow.context import Context, Job, job
from daisy.workflow.corpora import Corpora
from daisy.workflow.frozen import Frozen
from daisy.workflow.models import Models
from daisy.workflow.sections import TargetsSection
from daisy.workflow.upstream import Upstream


class Ablation:
    """Variants of the targets, each with an upstream and models of its own.

    Args:
        context: The run.
        corpora: Its corpora.
        frozen: Its hidden states.

    Attributes:
        tasks: The tasks that are compared.
        method: DAISY at the scale of the comparison.
        targets: What the branches of every variant are trained on.
        models: The stages of every variant.
    """

    def __init__(self, context: Context, corpora: Corpora, frozen: Frozen) -> None:
        self._context, chosen = context, context.config.ablation
        self.tasks = sorted(chosen.tasks)
        self.method = Method("daisy", chosen.rho)
        self.targets = self._variants()
        upstreams = {name: Upstream(context, corpora, targets, self.tasks) for name, targets in self.targets.items()}
        cells = [(task, self.method, context.first_seed) for task in self.tasks]
        self.models = {
            name: Models(context, corpora, frozen, upstream, cells, [chosen.rho])
            for name, upstream in upstreams.items()
        }

    def _variants(self) -> dict[str, TargetsSection]:
        """Each layer with the run's number of clusters, each number with the run's layer, and the head."""
        own, chosen = self._context.config.targets, self._context.config.ablation
        pairs = [(layer, own.clusters) for layer in chosen.layers]
        pairs += [(own.layer, clusters) for clusters in chosen.clusters]
        variants = {
            _name(layer, clusters): dataclasses.replace(own, kind="kmeans", layer=layer, clusters=clusters)
            for layer, clusters in dict.fromkeys(pairs)
        }
        variants |= {"head": dataclasses.replace(own, kind="head")} if chosen.head else {}
        # Settings are compared, and read, with sorted keys.
        return dict(sorted(variants.items()))

    @property
    def evaluation_files(self) -> list[str]:
        """An evaluation per variant and task, variant by variant."""
        return [file for models in self.models.values() for file in models.evaluation_files]

    @property
    def threshold_files(self) -> list[str]:
        """A threshold per variant and task, in the same order."""
        return [file for models in self.models.values() for file in models.threshold_files]

    @property
    def table(self) -> Job:
        """The gathering of all variants."""
        described = {name: _described(chosen) for name, chosen in self.targets.items()}
        own = self._context.config.targets
        default = "head" if own.kind == "head" else _name(own.layer, own.clusters)
        settings = AblationSettings(described, default, tuple(self.tasks))
        return job("daisy.report.ablation", settings, self._context.tasks)

    @property
    def links(self) -> dict[str, str]:
        """What the folder of the ablation links to."""
        every = {name: models.upstream.links | models.links for name, models in self.models.items()}
        return {f"{name}/{link}": folder for name, links in every.items() for link, folder in links.items()}


def _name(layer: int, clusters: int) -> str:
    return f"layer{layer}-c{clusters}"


def _described(targets: TargetsSection) -> dict[str, object]:
    if targets.kind == "head":
        return {"kind": "head"}
    return {"kind": "kmeans", "layer": targets.layer, "clusters": targets.clusters}
