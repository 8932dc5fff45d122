"""How the embedded HuBERT was made: two iterations of pre-training, the second on clusters of the first."""

from __future__ import annotations

import dataclasses

from daisy.common import stage
from daisy.pretraining.settings import CardSettings
from daisy.targets.settings import DumpSettings, JoinSettings, KMeansSettings, LabelSettings
from daisy.workflow.context import Context


@dataclasses.dataclass(frozen=True)
class Iteration:
    """One training on clusters.

    Attributes:
        layer: Whose frames are clustered: a layer of the iteration before, or ``mfcc``.
        clusters: Their number.
        share: The share of frames that the clustering sees.
        rate: Labels per second.
        updates: Steps of training.
        warmup: Steps in which the learning rate rises.
    """

    layer: int | str
    clusters: int
    share: float
    rate: int
    updates: int
    warmup: int


ITERATIONS = {"1": Iteration("mfcc", 100, 0.3, 100, 800, 100), "2": Iteration(6, 200, 0.5, 50, 2200, 300)}


class Pretraining:
    """Folders and settings of the pre-training.

    Args:
        context: The run, whose seed and cache it uses.
    """

    def __init__(self, context: Context) -> None:
        self._seed = context.config.seed
        self.folder = context.cached("pretrain")
        self.fairseq = context.cached("fairseq")

    def previous(self, iteration: str) -> list[str]:
        """The checkpoint whose features are clustered; the first iteration needs no model."""
        return [f"{self.folder}/1/checkpoints/checkpoint_last.pt"] if iteration == "2" else []

    def dump(self, iteration: str) -> str:
        """Settings of the draw of frames."""
        chosen = ITERATIONS[iteration]
        return stage.text(DumpSettings(chosen.layer, chosen.share, seed=self._seed))

    def kmeans(self, iteration: str) -> str:
        """Settings of the clustering."""
        chosen = ITERATIONS[iteration]
        return stage.text(KMeansSettings(chosen.clusters, self._seed, chosen.layer))

    def labels(self, iteration: str) -> str:
        """Settings of the labelling."""
        return stage.text(LabelSettings("kmeans", ITERATIONS[iteration].layer))

    def targets(self, iteration: str) -> str:
        """Settings of the joining of labels."""
        return stage.text(JoinSettings(ITERATIONS[iteration].clusters))

    @property
    def card(self) -> str:
        """What the model card says of it."""
        targets = (
            f"iteration 1: 100 clusters of MFCC, {ITERATIONS['1'].updates} updates; "
            "iteration 2: 200 clusters of iteration 1's layer 6"
        )
        return stage.text(CardSettings("HuBERT tiny", "fairseq-fixed 0.12.3.1 on 2 CPU cores, float32", targets))
