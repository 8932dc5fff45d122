"""Features of many recordings as shards: resumable, with an index and the exits as CSV.

A folder holds ``shard-00000.safetensors`` and so on, one tensor per recording named by its number in
``index.csv``; ``exits.csv``; and ``request.json``, what was asked for. A shard is written whole or not
at all, so that an interrupted extraction goes on with the first shard that is not there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from daisy.common.audio import SAMPLE_RATE, header, read
from daisy.common.batches import batches
from daisy.common.files import atomic, read_csv, read_json, write_csv, write_json
from daisy.common.progress import Progress
from daisy.errors import DaisyError
from daisy.library.model import Daisy


@dataclasses.dataclass(frozen=True)
class Recording:
    """A file and its length in samples."""

    path: Path
    samples: int


@dataclasses.dataclass(frozen=True)
class Request:
    """What decides the features.

    Attributes:
        checkpoint: Digest of the model's file.
        stopping: The keyword arguments of the model's call.
        states: ``all`` for (k + 1, T, D) per recording, ``last`` for (T, D).
        storage: Precision on disk.
        dtype: Precision of the computation.
        batch_seconds: Audio in a batch.
        shard_seconds: Audio in a shard.
    """

    checkpoint: str
    stopping: dict[str, Any]
    states: str
    storage: str
    dtype: str
    batch_seconds: float
    shard_seconds: float


def find_recordings(
    paths: Sequence[Path], shortest: int, *, skipped: list[DaisyError] | None = None
) -> list[Recording]:
    """The recordings, each checked before anything is computed.

    A header tells most faults. Floating-point samples are read, too, since they can be NaN.

    Args:
        paths: Their files.
        shortest: Samples of which a model makes one frame.
        skipped: Takes the faults of recordings that cannot be used, which are then left out, and found by reading
            every recording to its end; None for an error at the first one.

    Raises:
        DaisyError: if a recording cannot be used and faults are not to be skipped, or if none can be.
    """
    found = []
    for path in paths:
        try:
            found.append(Recording(path, _samples(path, shortest, whole=skipped is not None)))
        except DaisyError as error:
            if skipped is None:
                raise
            skipped.append(error)
    if skipped and not found:
        raise DaisyError(
            f"none of the {len(skipped)} recordings can be used: {skipped[0].problem}",
            file=skipped[0].file,
            fix=skipped[0].fix,
        )
    return found


def _samples(path: Path, shortest: int, *, whole: bool) -> int:
    described = header(path)
    samples = described.samples
    if whole or described.floating or (described.rate, described.channels) != (SAMPLE_RATE, 1) or samples == 0:
        samples = len(read(path))  # which says what is wrong with it
    if samples < shortest:
        raise DaisyError(
            f"{samples} samples, too short for one frame ({shortest})", file=path, fix="Leave the recording out"
        )
    return samples


def divide(recordings: Sequence[Recording], seconds: float) -> list[range]:
    """Consecutive recordings, at most `seconds` of audio together or one recording: the shards."""
    result: list[range] = []
    start, total = 0, 0
    for number, recording in enumerate(recordings):
        if number > start and (total + recording.samples) > seconds * SAMPLE_RATE:
            result.append(range(start, number))
            start, total = number, 0
        total += recording.samples
    return [*result, range(start, len(recordings))]


def write_shards(model: Daisy, recordings: Sequence[Recording], request: Request, out: Path) -> list[int]:
    """Extract what is not there yet.

    Returns:
        The exit layer of every recording.

    Raises:
        DaisyError: if `out` holds features of another request.
    """
    _check_folder(recordings, request, out)
    shards = divide(recordings, request.shard_seconds)
    progress = Progress("features", sum(item.samples for item in recordings) / SAMPLE_RATE, "s of audio")
    exits: list[int] = []
    rows: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for number, shard in enumerate(shards):
        file = out / f"shard-{number:05d}.safetensors"
        details = _finished(file, len(shard))
        if details is None:
            details = _write_shard(model, [recordings[i] for i in shard], shard, request, file, progress)
        else:
            progress.resume_at(progress.done + sum(recordings[i].samples for i in shard) / SAMPLE_RATE)
        for index, (layer, entropies) in zip(shard, details, strict=True):
            recording = recordings[index]
            seconds = recording.samples / SAMPLE_RATE
            frames = model.config.frames(recording.samples)
            rows.append({"number": index, "file": recording.path, "shard": file.name, "key": str(index)})
            rows[-1] |= {"exit_layer": layer, "frames": frames, "seconds": round(seconds, 4)}
            values = {f"entropy_{k}": value for k, value in enumerate(entropies, start=1)}
            table.append({"file": recording.path, "seconds": round(seconds, 4), "exit_layer": layer, **values})
            exits.append(layer)
    write_csv(out / "index.csv", list(rows[0]), rows)
    write_csv(out / "exits.csv", list(table[0]), table)
    return exits


def _check_folder(recordings: Sequence[Recording], request: Request, out: Path) -> None:
    listing = "\n".join(f"{item.path} {item.samples}" for item in recordings)
    asked = {**dataclasses.asdict(request), "recordings": hashlib.sha256(listing.encode()).hexdigest()}
    file = out / "request.json"
    if file.exists():
        before = read_json(file)
        different = [key for key in asked if before.get(key) != asked[key]]
        if different:
            raise DaisyError(
                f"the folder holds features made with another {different[0]}",
                file=file,
                fix="Choose a new folder, or delete this one",
            )
    elif out.exists() and not out.is_dir():
        raise DaisyError("it is a file, not a folder", file=out, fix="Choose another place")
    elif out.exists() and any(out.iterdir()):
        raise DaisyError("the folder is not empty and holds no features", file=out, fix="Choose a new folder")
    else:
        write_json(file, asked)


def _finished(file: Path, count: int) -> list[tuple[int, list[float | None]]] | None:
    """Exits and entropies of a shard that is there; None if it is not, or is damaged."""
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            details = json.loads((content.metadata() or {})["exits"])
            whole = len(list(content.keys())) == len(details) == count
    except (OSError, safetensors.SafetensorError, KeyError, json.JSONDecodeError):
        return None
    return [(layer, entropies) for layer, entropies in details] if whole else None


def _write_shard(
    model: Daisy, recordings: Sequence[Recording], numbers: range, request: Request, file: Path, progress: Progress
) -> list[tuple[int, list[float | None]]]:
    tensors: dict[str, torch.Tensor] = {}
    details: dict[int, tuple[int, list[float | None]]] = {}
    for group in batches([item.samples for item in recordings], request.batch_seconds):
        waves = [read(recordings[i].path, samples=recordings[i].samples) for i in group]
        out = model(waves, **request.stopping)
        for place, i in enumerate(group):
            states = out.features[place] if request.states == "all" else out.features[place][-1]
            tensors[str(numbers[i])] = states.to("cpu", getattr(torch, request.storage)).contiguous()
            # JSON has no NaN: a branch that was not asked is null.
            details[i] = (out.exit_layer[place], [None if value != value else value for value in out.entropies[place]])
            progress.add(recordings[i].samples / SAMPLE_RATE)
    ordered = [details[i] for i in range(len(recordings))]
    with atomic(file) as temporary:
        safetensors.torch.save_file(tensors, temporary, {"exits": json.dumps(ordered)})
    return ordered


def read_features(folder: str | Path) -> Iterator[tuple[str, torch.Tensor, int]]:
    """Read extracted features back: for every recording its file, its features and its exit layer.

    Raises:
        DaisyError: if the folder has no index.
    """
    folder = Path(folder)
    opened: dict[str, Any] = {}
    for row in read_csv(folder / "index.csv", columns=("file", "shard", "key", "exit_layer")):
        name = row["shard"]
        if name not in opened:
            opened = {name: safetensors.safe_open(folder / name, framework="pt")}
        yield row["file"], opened[name].get_tensor(row["key"]), int(row["exit_layer"])
