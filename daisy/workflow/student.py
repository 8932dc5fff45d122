"""The student of a run: distilled from the frozen model with the branches' speech, and its own hidden states."""

from __future__ import annotations

from daisy.exits.method import STUDENT
from daisy.students.settings import StudentSettings
from daisy.workflow.context import Context
from daisy.workflow.corpora import SPEECH, Corpora
from daisy.workflow.frozen import Frozen


class Student:
    """Stages of the store that the method `student` adds to a run, but for its downstream models.

    Args:
        context: The run.
        corpora: Its corpora.

    Attributes:
        folder: Of the student's file.
        frozen: Its hidden states of every task.
    """

    def __init__(self, context: Context, corpora: Corpora) -> None:
        chosen = vars(context.config.student)
        self.folder = context.store.add(
            "student",
            "daisy.students.distil",
            settings=StudentSettings(seed=context.config.seed, compute=context.compute, **chosen),
            manifest=corpora.manifests[SPEECH],
            hubert=context.checkpoint,
        )
        self.frozen = Frozen(context, corpora, [STUDENT], {"student": self.folder})

    @property
    def links(self) -> dict[str, str]:
        """What the run's folder links to."""
        states = {f"student/{name}": folder for name, folder in self.frozen.links.items()}
        return {"student/model": self.folder} | states
