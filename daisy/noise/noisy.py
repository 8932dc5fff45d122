"""Make the noisy test set of a task: drawn test recordings, clean and with every noise at every ratio.

A recording meets the same stretch of noise at all ratios, so that they differ by its level alone. The
result is an ordinary manifest, with a table of conditions, row by row, beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from daisy.common import audio, spent, stage
from daisy.common.ahead import ahead
from daisy.common.files import write_csv
from daisy.common.progress import Progress
from daisy.common.seeds import generator
from daisy.corpora.mixing import excerpt, mix, white
from daisy.corpora.table import Recording, read_table
from daisy.corpora.utterances import Manifest, Utterance, read_manifest, write_manifest
from daisy.errors import DaisyError
from daisy.noise.conditions import CLEAN, WHITE, ConditionRow
from daisy.noise.settings import NoisySettings


def noise_recordings(table: Path, kinds: Sequence[str]) -> dict[str, list[Recording]]:
    """The recordings of every kind that are not for training: its test split, or all if it has no splits.

    Raises:
        DaisyError: if there is none of a kind.
    """
    recordings = read_table(table)
    by_kind = {}
    for kind in kinds:
        by_kind[kind] = [item for item in recordings if item.speaker == kind and item.split in ("test", "")]
        if kind != WHITE and not by_kind[kind]:
            known = sorted({item.speaker for item in recordings})
            raise DaisyError(
                f"no test recording of the kind {kind!r}; it has {', '.join(known)}",
                file=table,
                fix="Correct noise.kinds, or add the kind to data.noise.kinds",
            )
    return by_kind


def noise_for(
    kind: str, recordings: Sequence[Recording], folder: Path, samples: int, chance: np.random.Generator
) -> tuple[np.ndarray, str | None]:
    """`samples` samples of one kind of noise, and the recording that they are from, if any."""
    if kind == WHITE:
        return white(samples, chance), None
    chosen = recordings[int(chance.integers(len(recordings)))]
    wave = audio.read(folder / chosen.path, samples=chosen.samples).numpy()
    return excerpt(wave, samples, chance), chosen.id


def versions(
    item: Utterance, speech: np.ndarray, noises: Mapping[str, list[Recording]], folder: Path, settings: NoisySettings
) -> Iterator[tuple[ConditionRow, np.ndarray]]:
    """One recording clean, then with every noise at every ratio."""
    yield ConditionRow(f"{CLEAN}/{item.id}", item.id, CLEAN, None, None, 1.0), speech
    for kind in settings.kinds:
        chance = generator(settings.seed, "noise", kind, item.id)
        noise, source = noise_for(kind, noises[kind], folder, len(speech), chance)
        for snr_db in settings.snr_db:
            made = mix(speech, noise, snr_db)
            name = f"{kind}/{snr_db:g}dB/{item.id}"
            yield ConditionRow(name, item.id, kind, float(snr_db), source, made.scale), made.wave


def make(manifest: Manifest, table: Path, settings: NoisySettings, out: Path) -> None:
    """Write audio, manifest and conditions.

    Raises:
        DaisyError: if a kind of noise is missing, or a recording is silent.
    """
    noises = noise_recordings(table, settings.kinds)
    drawn = generator(settings.seed, "noisy").permutation(len(manifest))[: settings.recordings]
    progress = Progress(out.name, len(drawn), "recordings")
    spent.note("seconds_per_recording", manifest.seconds / len(manifest))
    rows, utterances = [], []

    def mixed(index: int) -> list[tuple[ConditionRow, np.ndarray]]:
        item = manifest.utterances[index]
        try:
            speech = manifest.wave(index).numpy()
            return list(versions(item, speech, noises, table.parent / "audio", settings))
        except DaisyError as error:
            raise DaisyError(error.problem, fix=error.fix, file=error.file or manifest.root / item.path) from None

    order = sorted(drawn.tolist())
    with contextlib.closing(ahead(order, mixed, 1, 1)) as made:
        for index, found in zip(order, made, strict=True):
            for row, wave in found:
                path = f"{row.id}.flac"
                audio.write(out / "audio" / path, wave)
                rows.append(row)
                utterances.append(dataclasses.replace(manifest.utterances[index], id=row.id, path=path))
            progress.add()
    columns = [field.name for field in dataclasses.fields(ConditionRow)]
    write_csv(out / "conditions.csv", columns, map(dataclasses.asdict, rows))
    write_manifest(out / "noisy.tsv", out / "audio", utterances)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage."""
    parser = stage.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the task's test set")
    parser.add_argument("--noise", type=Path, required=True, help="table of noise; speaker = kind, audio/ beside it")
    parser.add_argument("--out", type=Path, required=True, help="output: folder of audio, manifest, conditions.csv")
    arguments = parser.parse_args(argv)
    settings = stage.settings(NoisySettings, arguments.settings)
    make(read_manifest(arguments.manifest), arguments.noise, settings, arguments.out)


if __name__ == "__main__":
    stage.run(main)
