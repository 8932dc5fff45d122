"""A run's mean entropies beside what follows from the thresholds that the paper's authors shipped: a lab's first check.

The shipped thresholds are ASR 0.5145, SID 0.7595, SE 1.655 and SS 1.13 nats, for HuBERT Base. That each is
rho * (max_k E_bar_k + min_k E_bar_k) / 2, with rho 0.7 for ASR and SID and 1.0 for SE and SS, is inferred: at these
scales, and no others of the paper's grid, all four are midpoints of two entropies with two decimals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from daisy.evaluation.rows import EntropyRow

PUBLISHED = {"asr": 1.47, "sid": 2.17, "se": 3.31, "ss": 2.26}
"""Inferred: max_k E_bar_k + min_k E_bar_k of HuBERT Base on MiniSUPERB's tasks, in nats."""


@dataclasses.dataclass(frozen=True)
class AgainstPublishedRow:
    """A task's largest and smallest mean entropy together: ``against_published.csv``.

    Attributes:
        task: The task's name.
        max_plus_min: Of this run, in nats.
        published: What the shipped threshold gives, in nats (inferred).
        difference: This run's less that.
    """

    task: str
    max_plus_min: float
    published: float
    difference: float


def against_published(entropy: Sequence[EntropyRow]) -> list[AgainstPublishedRow]:
    """A row per task of which a threshold was shipped."""
    rows = []
    for task in dict.fromkeys(row.task for row in entropy):
        means = [row.mean_entropy for row in entropy if row.task == task]
        if task in PUBLISHED:
            own = max(means) + min(means)
            rows.append(AgainstPublishedRow(task, own, PUBLISHED[task], own - PUBLISHED[task]))
    return rows
