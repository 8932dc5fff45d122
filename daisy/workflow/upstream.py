"""The frozen model's side of a run, for one choice of targets: labels, branches, and the features of every task."""

from __future__ import annotations

from daisy.branches.settings import BranchesSettings
from daisy.features.settings import FeaturesSettings
from daisy.targets.settings import DumpSettings, JoinSettings, KMeansSettings, LabelSettings
from daisy.tasks.registry import TASKS
from daisy.workflow.context import Context
from daisy.workflow.corpora import SPEECH, Corpora
from daisy.workflow.sections import PARTS, TargetsSection


class Upstream:
    """Stages of the store, from labels to features.

    Args:
        context: The run.
        corpora: Its corpora.
        targets: What the branches are trained on.
        tasks: Whose features are made.

    Attributes:
        targets: Folder of the labels that branches are trained on.
        branches: Folder of the model with branches that were trained on them.
        features: Folder of the states and entropies of every task and part.
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
        self.features: dict[tuple[str, str], str] = {
            (task, part): self._features(task, part) for task in tasks for part in PARTS
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

    def _features(self, task: str, part: str) -> str:
        return self._context.store.add(
            f"features-{task}-{part}",
            "daisy.features.states",
            settings=FeaturesSettings(
                pooled=TASKS[task].pooled,
                # Evaluation compares these with runs of the model itself; training does not mind rounding.
                storage="float32" if part == "test" else "float16",
                batch_seconds=self._batch_seconds,
                keep=part in self._context.config.tasks[task].keep_states,
                compute=self._context.exact,
            ),
            manifest=self._corpora.manifests[task],
            upstream=self.branches,
        )

    @property
    def file(self) -> str:
        """The file of the model with branches."""
        return f"{self.branches}/daisy.pt"

    def states(self, task: str, part: str) -> str:
        """The states of a part."""
        return f"{self.features[task, part]}/states.npy"

    def entropies(self, task: str, part: str) -> str:
        """The table of entropies and lengths of a part."""
        return f"{self.features[task, part]}/states.npz"

    def streams(self, task: str, *parts: str) -> list[str]:
        """The model that makes the states of some parts while they are used; none if all of them are kept."""
        kept = set(parts) <= set(self._context.config.tasks[task].keep_states)
        return [] if kept else [self.file]

    def same_states(self, key: str, task: str, part: str) -> list[str]:
        """The states that the features of `key` may take over: those of other branches on the same model are equal.

        Args:
            key: Of the features that are made, this upstream's or another's.
            task: Whose.
            part: Which part.
        """
        own = self.features[task, part]
        kept = part in self._context.config.tasks[task].keep_states
        return [f"{own}/states.npy"] if kept and not own.endswith(key) else []

    @property
    def links(self) -> dict[str, str]:
        """What a run's folder links to."""
        store = self._context.store
        labels = store.at(self.targets).inputs["labels"]
        behind = {"labels": labels}
        if centroids := store.at(labels).inputs.get("centroids"):
            behind |= {"centroids": centroids, "shards": store.at(centroids).inputs["shards"]}
        features = {f"features/{task}/{part}": folder for (task, part), folder in self.features.items()}
        return behind | {"targets": self.targets, "branches": self.branches} | features
