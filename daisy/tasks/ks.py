"""Keyword spotting: linear, mean over time, linear, cross-entropy (SUPERB, the head of s3prl's speech_commands).

The config names the keywords. A recording is of the keyword that its text holds, of `UNKNOWN` if it holds none, and of
`SILENCE` if that is its text: Speech Commands' ten words make twelve classes, whose texts are single words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daisy.corpora.utterances import Manifest
from daisy.errors import DaisyError
from daisy.tasks.sid import SpeakerIdentification

UNKNOWN, SILENCE = "_unknown_", "_silence_"
"""The classes beside the keywords, as Speech Commands spells them."""


class KeywordSpotting(SpeakerIdentification):
    """Which keyword is said?

    Raises:
        DaisyError: if no recording of the training set holds a keyword.
    """

    name = "ks"
    title = "Keyword spotting"

    def __init__(self, options: Mapping[str, Any], vocabulary: Sequence[str]) -> None:
        super().__init__(options, vocabulary)
        for keyword in self.options["keywords"]:
            if keyword not in self.vocabulary:
                raise DaisyError(
                    f"no recording of the training set holds the keyword {keyword!r}",
                    fix="Correct tasks.ks.options.keywords, or add recordings of it",
                )

    @property
    def classes(self) -> list[str]:
        """The keywords, and what is none."""
        return [*self.options["keywords"], UNKNOWN, SILENCE]

    @classmethod
    def learn_vocabulary(cls, train: Manifest) -> list[str]:
        """The words of the training set, sorted: the keywords must be among them."""
        return sorted({word for item in train.utterances for word in item.text.split()})

    def example(self, manifest: Manifest, index: int) -> int:
        """The class of what is said.

        Raises:
            DaisyError: if the text is empty, or holds several keywords.
        """
        item = manifest.utterances[index]
        words = item.text.split()
        if not words:
            raise DaisyError(f"{item.id} has no text", file=manifest.root, fix="Add it, or drop the recording")
        found = [word for word in self.options["keywords"] if word in words]
        if len(found) > 1:
            raise DaisyError(
                f"{item.id} holds the keywords {' and '.join(found)}",
                file=manifest.root,
                fix="Leave the recording out, or all but one of them in tasks.ks.options.keywords",
            )
        other = SILENCE if words == [SILENCE] else UNKNOWN
        return self.classes.index(found[0] if found else other)


TASK = KeywordSpotting
