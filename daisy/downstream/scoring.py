"""Scores of a split's utterances by a downstream model, each utterance and exit layer once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from daisy.common.ahead import ahead
from daisy.common.batches import groups
from daisy.common.forked import forked
from daisy.common.transfer import handed
from daisy.downstream.model import TaskModel
from daisy.downstream.split import Read, Split
from daisy.tasks.base import Score, Task

Judged = dict[tuple[int, int], Score]
"""Scores by index of the utterance and exit layer."""

BATCH_FRAMES = 3000
"""Frames that are scored at once, a minute of audio; a frame costs the same whatever its length."""

WASTE = 0.25
FEW = 6
"""On a CPU a recurrent head takes little longer for six utterances than for two, so that some padding is worth it; and
twice as long for twelve, so that more would only be harder to share out."""


def scores(
    model: TaskModel,
    split: Split,
    indices: Sequence[int] | None = None,
    *,
    judged: Judged | None = None,
) -> list[Score]:
    """Predict and score utterances of a split at their exits.

    Args:
        model: A downstream model.
        split: Features, exits and examples.
        indices: The utterances; by default all.
        judged: What this model already scored in the same split, at these exits or others; it is read and added to.

    Returns:
        The scores of `indices`, in their order.
    """
    exits = split.exits.tolist()
    wanted = [(index, exits[index]) for index in (range(len(exits)) if indices is None else indices)]
    judged = {} if judged is None else judged
    judge(model, split, wanted, judged)
    return [judged[pair] for pair in wanted]


def judge(
    model: TaskModel, split: Split, wanted: Iterable[tuple[int, int]], judged: Judged, processes: int = 1
) -> None:
    """Add to `judged` what it lacks of some scores.

    Args:
        model: A downstream model.
        split: Features and examples; its own exits are not used.
        wanted: Pairs of an utterance's index and an exit layer.
        judged: What is known; it is added to.
        processes: How many share the work, each on one core, if it is signals that are judged. A model on a GPU keeps
            to one.
    """
    model.eval()
    device = model.device
    local = device.type == "cpu"
    missing = [pair for pair in dict.fromkeys(wanted) if pair not in judged]
    frames = [int(split.features.frames[index]) for index, _ in missing]
    parts = groups(frames, BATCH_FRAMES, WASTE, FEW if local else None)

    def read(group: list[int]) -> tuple[Read, list[Tensor]]:
        indices, exits = zip(*(missing[place] for place in group), strict=True)
        waves = [split.waves[index] for index in indices] if split.waves else []
        return split.read(indices, exits, device), waves

    @torch.inference_mode()
    def score(given: tuple[Read, list[Tensor]]) -> list[Score]:
        batch, waves = given
        output = model(split.states(batch).to(device), handed(batch.layers, device), batch.frames)
        predictions = model.task.predict(output, batch.frames, waves)
        return [model.task.score(*pair) for pair in zip(predictions, batch.examples, strict=True)]

    count = min(_worth(split, processes if local else 1), len(parts))
    if count > 1:
        found = forked(lambda group: score(read(group)), parts, count)
    else:
        with contextlib.closing(ahead(parts, read, *split.reading(device))) as ready:
            found = [score(given) for given in ready]
    for group, scored in zip(parts, found, strict=True):
        judged |= {missing[place]: value for place, value in zip(group, scored, strict=True)}


def unprocessed(task: Task, split: Split, processes: int) -> list[Score]:
    """The scores of the recordings as they are; none where that means nothing."""
    indices = range(len(split.examples))
    given = forked(lambda index: task.unprocessed(split.examples[index]), indices, _worth(split, processes))
    scored = [score for score in given if score is not None]
    return scored if len(scored) == len(given) else []


def _worth(split: Split, processes: int) -> int:
    """As many processes as pay: to judge a signal takes far longer than to start one, and to judge words far less."""
    return processes if split.waves else 1
