"""The hidden states of a frozen model: what they are depends on no branch, so that all runs on it share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daisy.exits.method import STUDENT, Method
from daisy.features.settings import StatesSettings
from daisy.features.view import view_of
from daisy.hubert.config import States
from daisy.workflow.context import Context
from daisy.workflow.corpora import Corpora
from daisy.workflow.sections import PARTS, Part


class Frozen:
    """Stages that run a task's recordings through a frozen model.

    Args:
        context: The run.
        corpora: Its corpora.
        methods: Which read its states.
        model: The model, by what a stage calls it: ``hubert`` and its file, or ``student`` and its folder.

    Attributes:
        kinds: The tensors that these methods read as hidden states.
        folders: Folder of the states of every kind, task and part that are kept.
    """

    def __init__(self, context: Context, corpora: Corpora, methods: Sequence[Method], model: Mapping[str, str]) -> None:
        self._context, self._model = context, model
        self.kinds: list[States] = list(dict.fromkeys(map(self.kind, methods)))
        self.folders = {
            (kind, task, part): self.add(f"states-{task}-{part}", kind, task, part, corpora.manifests[task])
            for kind in self.kinds
            for task in context.tasks
            for part in PARTS
            if self.keeps(task, part)
        }

    def kind(self, method: Method) -> States:
        """The tensors that a method reads: the branches' own, or s3prl's for a baseline, if the config wants that.

        A student's are always its projection and its layers' outputs, as s3prl has a DistilHuBERT's.
        """
        if method == STUDENT:
            return "after-norm"
        s3prl = self._context.config.downstream.baseline_states == "s3prl" and not method.adaptive
        return "s3prl" if s3prl else self._context.config.branches.position

    def keeps(self, task: str, part: str) -> bool:
        """Whether the states of a part are kept; otherwise the model makes them while they are used."""
        return part in self._context.config.tasks[task].keep_states

    def add(self, name: str, kind: States, task: str, part: str, manifest: str) -> str:
        """Register the states of a manifest's recordings; returns their folder."""
        settings = StatesSettings(
            view_of(task, self._context.config.tasks[task].options, kind),
            # Evaluation compares these with runs of the model itself; training does not mind rounding.
            storage="float32" if part == "test" else "float16",
            batch_seconds=self._context.config.upstream.batch_seconds,
            compute=self._context.exact,
        )
        return self._context.store.add(
            name, "daisy.features.states", settings=settings, manifest=manifest, **self._model
        )

    def states(self, task: str, part: Part, method: Method) -> str:
        """Folder of the states that a method reads of a part; empty if they are not kept."""
        return self.folders.get((self.kind(method), task, part), "")

    def model(self, task: str, *parts: str) -> Mapping[str, str]:
        """The model that makes the states of some parts while they are used; none if all of them are kept."""
        return {} if all(self.keeps(task, part) for part in parts) else self._model

    @property
    def links(self) -> dict[str, str]:
        """What the run's folder links to: the states that DAISY reads, and those of baselines if they are others."""
        own = self._context.config.branches.position
        return {
            f"{'states' if kind == own else f'states-{kind}'}/{task}/{part}": folder
            for (kind, task, part), folder in self.folders.items()
        }
