"""The table of the probes: a row per layer, as a file and in the model card."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from daisy.common.columns import read_table


@dataclasses.dataclass(frozen=True)
class Row:
    """What a layer gives; null where a manifest has no texts, or fewer than two speakers.

    Attributes:
        layer: From 0, the front end.
        ctc_loss: Of the test recordings, in nats per character.
        wer: Their word error rate, in per cent.
        speaker_accuracy: In per cent.
    """

    layer: int
    ctc_loss: float | None
    wer: float | None
    speaker_accuracy: float | None


def read(path: Path) -> list[Row]:
    """The table that the stage wrote."""
    return read_table(Row, path)


def shown(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    cells = [["" if v is None else f"{v:.2f}" for v in (r.ctc_loss, r.wer, r.speaker_accuracy)] for r in rows]
    head = "| layer | CTC loss | WER (%) | speaker accuracy (%) |\n|---|---|---|---|\n"
    return head + "".join(f"| {row.layer} | {' | '.join(item)} |\n" for row, item in zip(rows, cells, strict=True))
