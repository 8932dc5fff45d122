"""What a job writes to the disk, in MB, for the plan and for schedulers."""

from __future__ import annotations

import json
from pathlib import Path

from daisy.corpora.published.archives import ARCHIVES, there
from daisy.corpora.published.catalogue import CORPORA as PUBLISHED
from daisy.tasks.registry import TASKS
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

    def audio(self, task: str, part: str) -> disk.Audio:
        """The recordings of a part, by its manifest or by what is expected; none at all where neither tells."""
        summary = Path(f"{self._corpora.manifests[task]}/summary.csv")
        corpus = self._corpora.name_of(task)
        share = 1.0 if task == SPEECH else self._context.config.data.splits.share
        if not corpus and not summary.is_file():
            return self._embedded(task, part, share)
        return disk.audio_of(summary, corpus, part, self._drawn(corpus, part), share)

    def step(self, batch_seconds: float) -> float:
        """Seconds of the branches' speech in a step of at most so many: by its manifest, or as if all were full."""
        manifest = Path(f"{self._corpora.manifests[SPEECH]}/train.tsv")
        if not manifest.is_file():
            return min(batch_seconds, self.audio(SPEECH, "train").seconds)
        from daisy.common.batches import seconds_per_step  # what reads no manifest needs no NumPy

        lengths = [int(line.rsplit("\t", 1)[1]) for line in manifest.read_text(encoding="utf-8").splitlines()[1:]]
        return seconds_per_step(lengths, batch_seconds)

    def _embedded(self, task: str, part: str, share: float) -> disk.Audio:
        """What is expected of a share of a corpus that the project makes itself."""
        data = self._context.config.data
        task = TASKS[task].corpus or task if task in TASKS else task
        made = {
            **{"asr": data.commands, "pr": data.commands},
            **{"se": data.mixtures.enhancement, "ss": data.mixtures.separation},
        }.get(task)
        if made is not None:
            count = round(getattr(made, part) * share)
            return disk.Audio(count, count * disk.MADE_SECONDS[task])
        splits = data.splits
        shares = {"dev": splits.dev, "test": splits.test, "train": 1 - splits.dev - splits.test}
        whole = disk.embedded(data.packages, splits.max_per_speaker, splits.max_seconds)
        part_share = shares[part] * share
        return disk.Audio(round(whole.recordings * part_share), whole.seconds * part_share)

    def published(self, name: str, part: str) -> disk.Audio:
        """What is expected of a published corpus."""
        return disk.expected(name, part, self._drawn(name, part))

    def _drawn(self, corpus: str, part: str) -> int:
        """How many recordings of a published corpus the config takes; 0 for all."""
        wanted = self._context.config.data.published.get(corpus, {}).get(part, 0)
        # LibriSpeech's are named by subset.
        return (
            wanted if isinstance(wanted, int) else sum(PUBLISHED[corpus].sizes[subset].files or 0 for subset in wanted)
        )

    def noisy(self, task: str) -> disk.Audio:
        """The recordings of the noise study: each clean, and with every noise at every ratio."""
        every, chosen = self.audio(task, "test"), self._context.config.noise
        count = min(chosen.recordings, every.recordings)
        versions = 1 + len(chosen.kinds) * len(chosen.snr_db)
        return disk.Audio(count * versions, every.seconds * count / max(1, every.recordings) * versions)

    def states(self, key: str, task: str, part: str | None = None) -> int:
        """States of a task's part, or of its noisy recordings."""
        stored, shape = self._context.store[key], self._context.shape
        chosen = json.loads(stored.settings)
        if "student" in stored.inputs:
            shape = shape._replace(layers=self._context.config.student.layers)
        audio = self.audio(task, part) if part else self.noisy(task)
        size = disk.states(audio, shape, chosen["storage"], pooled=chosen["view"]["pooled"])
        return disk.megabytes(size)

    def drawn(self) -> int:
        """One shard of the frames that k-means sees."""
        chosen = self._context.config.targets
        audio = self.audio(SPEECH, "train")
        size = disk.drawn_frames(audio, self._context.shape, chosen.utterances, chosen.share, chosen.shards)
        return disk.megabytes(size)

    def labels(self, shards: int) -> int:
        """Labels of the speech that branches are trained on, or of one shard of it."""
        return disk.megabytes(disk.labels(self.audio(SPEECH, "train"), self._context.shape) / shards)

    def downloaded(self, published: str, archive: str) -> int:
        """An archive of a published corpus, unpacked; hardly anything where that is there already."""
        item, root = ARCHIVES[published][archive], Path(self._context.config.data.published[published]["root"])
        return disk.megabytes(0 if there(root, item) else item.megabytes * 1e6)

    def made(self, published: str) -> int:
        """The audio that is made of a published corpus."""
        parts = [self.published(published, part) for part in PARTS]
        return disk.megabytes(sum(disk.flac(audio, SIGNALS.get(published, 0)) for audio in parts))

    def noisy_speech(self, task: str) -> int:
        """The audio of the noise study."""
        return disk.megabytes(disk.flac(self.noisy(task)))
