"""What a job writes to the disk, in MB, for the plan and for schedulers."""

from __future__ import annotations

import json
from pathlib import Path

from daisy.corpora.published.catalogue import CORPORA as PUBLISHED
from daisy.workflow import disk
from daisy.workflow.context import Context
from daisy.workflow.corpora import SPEECH, Corpora
from daisy.workflow.sections import PARTS

SIGNALS = {"libri2mix": 3, "voicebank-demand": 2}
"""Signals per recording of the published corpora whose audio is made; the others are read where they lie."""


class Sizes:
    """Estimates from the length of the recordings.

    Args:
        context: The run.
        corpora: Its corpora.
    """

    def __init__(self, context: Context, corpora: Corpora) -> None:
        self._context, self._corpora = context, corpora

    def _audio(self, task: str, part: str) -> disk.Audio:
        """The recordings of a part, by its manifest or by what is expected."""
        summary = Path(f"{self._corpora.manifests[task]}/summary.csv")
        corpus = self._corpora.name_of(task)
        share = 1.0 if task == SPEECH else self._context.config.data.splits.share
        return disk.audio_of(summary, corpus, part, self._drawn(corpus, part), share)

    def _drawn(self, corpus: str, part: str) -> int:
        """How many recordings of a published corpus the config takes; 0 for all."""
        wanted = self._context.config.data.published.get(corpus, {}).get(part, 0)
        # LibriSpeech's are named by subset.
        return (
            wanted if isinstance(wanted, int) else sum(PUBLISHED[corpus].sizes[subset].files or 0 for subset in wanted)
        )

    def _noisy(self, task: str) -> disk.Audio:
        """The recordings of the noise study: each clean, and with every noise at every ratio."""
        every, chosen = self._audio(task, "test"), self._context.config.noise
        count = min(chosen.recordings, every.recordings)
        versions = 1 + len(chosen.kinds) * len(chosen.snr_db)
        return disk.Audio(count * versions, every.seconds * count / max(1, every.recordings) * versions)

    def states(self, key: str, task: str, part: str | None = None) -> int:
        """States of a task's part, or of its noisy recordings."""
        chosen = json.loads(self._context.store[key].settings)
        audio = self._audio(task, part) if part else self._noisy(task)
        size = disk.states(audio, self._context.shape, chosen["storage"], pooled=chosen["view"]["pooled"])
        return disk.megabytes(size)

    def drawn(self) -> int:
        """One shard of the frames that k-means sees."""
        chosen = self._context.config.targets
        audio = self._audio(SPEECH, "train")
        size = disk.drawn_frames(audio, self._context.shape, chosen.utterances, chosen.share, chosen.shards)
        return disk.megabytes(size)

    def labels(self, shards: int) -> int:
        """Labels of the speech that branches are trained on, or of one shard of it."""
        return disk.megabytes(disk.labels(self._audio(SPEECH, "train"), self._context.shape) / shards)

    def made(self, published: str) -> int:
        """The audio that is made of a published corpus."""
        parts = [disk.expected(published, part, self._drawn(published, part)) for part in PARTS]
        return disk.megabytes(sum(disk.flac(audio, SIGNALS.get(published, 0)) for audio in parts))

    def noisy_speech(self, task: str) -> int:
        """The audio of the noise study."""
        return disk.megabytes(disk.flac(self._noisy(task)))
