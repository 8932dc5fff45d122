"""Which recordings of a corpus a task uses, and why it does without the others."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

from daisy.common.audio import SAMPLE_RATE
from daisy.common.seeds import generator
from daisy.corpora.faults import some
from daisy.corpora.partition import PARTS
from daisy.corpora.settings import ManifestsSettings
from daisy.corpora.table import Recording
from daisy.errors import DaisyError


def known_speakers(parts: dict[str, list[Recording]], least: int) -> set[str]:
    """Speakers with at least `least` recordings, and at least one in every part."""
    counts = collections.Counter(item.speaker for items in parts.values() for item in items)
    present = set.intersection(*({item.speaker for item in parts[part]} for part in PARTS))
    return {speaker for speaker, count in counts.items() if count >= least} & present


def choose(parts: dict[str, list[Recording]], settings: ManifestsSettings) -> dict[str, list[Recording]]:
    """The recordings of every part that the task uses, sorted by id.

    Raises:
        DaisyError: if speakers are asked for and fewer than two have enough recordings.
    """
    speakers = None
    if settings.min_recordings:
        speakers = known_speakers(parts, settings.min_recordings)
        if len(speakers) < 2:
            raise DaisyError(
                f"{len(speakers)} speakers have at least {settings.min_recordings} recordings",
                fix="Lower data.splits.sid_min_recordings, or add recordings",
            )
        speakers = set(drawn(speakers, settings, "speakers", least=2))
    longest = settings.max_seconds * SAMPLE_RATE or float("inf")
    chosen = {
        part: [
            item
            for item in sorted(items, key=lambda item: item.id)
            if item.samples <= longest
            and (speakers is None or item.speaker in speakers)
            and (item.text or not settings.transcribed)
        ]
        for part, items in parts.items()
    }
    if speakers is not None:
        return chosen
    names = {part: set(drawn((item.id for item in items), settings, part)) for part, items in chosen.items()}
    return {part: [item for item in items if item.id in names[part]] for part, items in chosen.items()}


def drawn(names: Iterable[str], settings: ManifestsSettings, what: str, least: int = 1) -> list[str]:
    """The share of some names that is used. A larger share holds a smaller one.

    Args:
        names: Of recordings or speakers.
        settings: The share, and the seed of the draw.
        what: What the names are of: each has a draw of its own.
        least: So many are used, however small the share, where there are as many.
    """
    every = sorted(names)
    if settings.share == 1:
        return every
    count = max(min(least, len(every)), round(len(every) * settings.share))
    order = generator(settings.splits.seed, "share", what).permutation(len(every))
    return [every[place] for place in order[:count]]


def left_out(
    parts: dict[str, list[Recording]], chosen: dict[str, list[Recording]], settings: ManifestsSettings
) -> dict[str, list[tuple[Recording, str]]]:
    """Of every part the recordings that are not chosen, and why."""
    speakers = known_speakers(parts, settings.min_recordings) if settings.min_recordings else None

    def why(item: Recording) -> str:
        if speakers is not None and item.speaker not in speakers:
            return f"of speakers with under {settings.min_recordings}, or none in some split"
        if settings.transcribed and not item.text:
            return "without a text"
        if settings.max_seconds and item.samples > settings.max_seconds * SAMPLE_RATE:
            return f"longer than {settings.max_seconds:g} s"
        return f"not in the share of {settings.share:g} that is used"

    used = {item.id for items in chosen.values() for item in items}
    return {
        part: [(item, why(item)) for item in sorted(items, key=lambda item: item.id) if item.id not in used]
        for part, items in parts.items()
    }


def told(unused: Sequence[tuple[Recording, str]]) -> str:
    """How many recordings are left out for each reason, with names; of speakers the speakers'."""
    by_reason: dict[str, list[Recording]] = collections.defaultdict(list)
    for item, reason in unused:
        by_reason[reason].append(item)
    parts = []
    for reason, items in by_reason.items():
        speakers = list(dict.fromkeys(item.speaker for item in items))
        parts.append(
            f"{len(items)} {reason}: {some(speakers if 'speakers' in reason else [item.id for item in items])}"
        )
    return f", {len(unused)} left out ({'; '.join(parts)})" if unused else ""


def missing(recordings: Sequence[Recording], chosen: dict[str, list[Recording]], settings: ManifestsSettings) -> str:
    """What keeps a task from using a corpus; empty if nothing does."""
    for part in PARTS:
        if not chosen[part]:
            given = sorted({item.split for item in recordings if item.split})
            splits = f", whose splits are {', '.join(given)}" if given else ""
            texts = " with a text" if settings.transcribed else ""
            return f"no recording{texts} is left for {part}{splits}"
    return ""
