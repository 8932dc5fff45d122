"""One choice of targets, and what follows from it: labels, branches, and their entropies on every task."""

from __future__ import annotations

from daisy.branches.settings import BranchesSettings
from daisy.exits.method import Method
from daisy.features.settings import EntropiesSettings
from daisy.targets.settings import DumpSettings, JoinSettings, KMeansSettings, LabelSettings
from daisy.workflow.context import Context
from daisy.workflow.corpora import SPEECH, Corpora
from daisy.workflow.sections import PARTS, Part, TargetsSection


class Upstream:
    """Stages of the store, from labels to entropies.

    Args:
        context: The run.
        corpora: Its corpora.
        targets: What the branches are trained on.
        tasks: Whose entropies are measured.

    Attributes:
        targets: Folder of the labels that branches are trained on.
        branches: Folder of the model with branches that were trained on them.
        measured: Folder of the entropies of every task and part.
    """

    def __init__(self, context: Context, corpora: Corpora, targets: TargetsSection, tasks: list[str]) -> None:
        self._context, self._corpora, self._chosen = context, corpora, targets
        self._batch_seconds = context.config.upstream.batch_seconds
        self._reads = {"manifest": corpora.manifests[SPEECH], "hubert": context.checkpoint}
        self.targets = self._head() if targets.kind == "head" else self._clustered()
        self.branches = context.store.add(
            "branches",
            "daisy.branches.train",
            settings=BranchesSettings(
                seed=context.config.seed, compute=context.compute, **vars(context.config.branches)
            ),
            manifest=corpora.manifests[SPEECH],
            labels=self.targets,
            hubert=context.checkpoint,
        )
        self.measured = {
            (task, part): self.measure(f"entropies-{task}-{part}", corpora.manifests[task])
            for task in tasks
            for part in PARTS
        }

    def _head(self) -> str:
        """Labels by the model's own pre-training head."""
        return self._labelled(LabelSettings("head", 0, self._batch_seconds, self._context.compute), 0)

    def _clustered(self) -> str:
        """Labels by clusters of drawn features of one layer."""
        add, chosen, seed = self._context.store.add, self._chosen, self._context.config.seed
        compute = self._context.compute
        drawn = DumpSettings(chosen.layer, chosen.share, chosen.utterances, seed, self._batch_seconds, compute)
        shards = add(f"shards-{chosen.shards}", "daisy.targets.dump", settings=drawn, **self._reads)
        clusters = KMeansSettings(chosen.clusters, seed, chosen.layer)
        centroids = add("kmeans", "daisy.targets.kmeans", settings=clusters, shards=shards)
        labels = LabelSettings("kmeans", chosen.layer, self._batch_seconds, compute)
        return self._labelled(labels, chosen.clusters, centroids=centroids)

    def _labelled(self, settings: LabelSettings, classes: int, **reads: str) -> str:
        """Labels, made side by side and then joined."""
        add = self._context.store.add
        name = f"labels-{self._chosen.shards}"
        labels = add(name, "daisy.targets.label", settings=settings, **reads, **self._reads)
        joined = JoinSettings(classes)
        return add(
            "targets", "daisy.targets.join", settings=joined, labels=labels, manifest=self._corpora.manifests[SPEECH]
        )

    def measure(self, name: str, manifest: str) -> str:
        """Register the entropies of a manifest's recordings; returns their folder."""
        signal = self._context.config.thresholds.signal
        settings = EntropiesSettings(self._batch_seconds, self._context.exact, signal)
        return self._context.store.add(
            name, "daisy.features.entropies", settings=settings, manifest=manifest, upstream=self.branches
        )

    @property
    def file(self) -> str:
        """The file of the model with branches."""
        return f"{self.branches}/daisy.pt"

    def entropies(self, task: str, part: Part, method: Method) -> str:
        """Folder of the entropies of a part, for a method that exits by them; empty for others."""
        return self.measured[task, part] if method.by_entropy else ""

    @property
    def links(self) -> dict[str, str]:
        """What a run's folder links to."""
        store = self._context.store
        labels = store.at(self.targets).inputs["labels"]
        behind = {"labels": labels}
        if centroids := store.at(labels).inputs.get("centroids"):
            behind |= {"centroids": centroids, "shards": store.at(centroids).inputs["shards"]}
        measured = {f"entropies/{task}/{part}": folder for (task, part), folder in self.measured.items()}
        return behind | {"targets": self.targets, "branches": self.branches} | measured
