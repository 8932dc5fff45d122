"""Features of many recordings as shards: resumable, with an index and the exits as CSV.

A folder holds ``shard-00000.safetensors`` and so on, one tensor per recording named by its number in
``index.csv``; ``exits.csv``; and ``request.json``, what was asked for. A shard is written whole or not
at all, so that an interrupted extraction goes on with the first shard that is not there. It knows what its recordings
held, and is made again if one of them was replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch

from daisy.common.ahead import ahead
from daisy.common.audio import SAMPLE_RATE, header, read
from daisy.common.batches import batches
from daisy.common.beside import Beside
from daisy.common.compute import memory
from daisy.common.contents import digest
from daisy.common.files import atomic, read_csv, read_json, remove_remains, unwritable, write_csv, write_json
from daisy.common.progress import Progress
from daisy.common.transfer import Fetched, Sent, located, reading
from daisy.errors import DaisyError
from daisy.library.model import Daisy

Values = list[float | None]
"""Entropies of all layers; null where no branch was asked, since JSON has no NaN."""

Detail = tuple[int, Values, list[tuple[int, int, int, Values]]]
"""A recording's exit layer and entropies; and if its windows stop by themselves, of each of them the first frame and
the one behind the last, exit layer and entropies."""

Details = list[Detail]
"""Those of every recording of a shard."""

_WRITTEN = ("shard-*.safetensors", "request.json", "index.csv", "exits.csv", "windows.csv", "skipped.csv")
"""What a folder of features holds."""

_TOLD = "daisy"
"""The one key of a shard's metadata: safetensors writes several in any order."""

_READERS = 8
"""Files that are read at once for their digests."""


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
        stopping: The keyword arguments of the model's call: where recordings may stop, and how long ones are cut.
        states: ``all`` for (k + 1, T, D) per recording, ``last`` for (T, D).
        storage: Precision on disk.
        dtype: Precision of the computation.
        batch_seconds: Audio in a batch.
        shard_seconds: Audio in a shard.
    """

    checkpoint: str
    stopping: dict[str, Any]
    states: Literal["all", "last"]
    storage: str
    dtype: str
    batch_seconds: float
    shard_seconds: float

    @property
    def options(self) -> dict[str, Any]:
        """`stopping` as the call takes it: an infinite window is text there, since JSON has no infinity."""
        return {name: float(value) if name == "window" else value for name, value in self.stopping.items()}


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
        DaisyError: if `out` holds features of another request, or another extraction is writing there.
    """
    with _alone(out):
        return _write_shards(model, recordings, request, out)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other extractions out of a folder, on this machine, and on those that share locks of their disks.

    Raises:
        DaisyError: if one is under way there, or the folder is none.
    """
    if out.exists() and not out.is_dir():
        raise DaisyError("it is a file, not a folder", file=out, fix="Choose another place")
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)  # the folder itself: there is no file that could remain
    except OSError as error:
        raise unwritable(out, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fix = "Wait for it, end it, or choose another folder"
            raise DaisyError("another extraction is writing here", file=out, fix=fix) from None
        except OSError:
            pass  # a disk without locks
        yield
    finally:
        os.close(handle)


def _write_shards(model: Daisy, recordings: Sequence[Recording], request: Request, out: Path) -> list[int]:
    _check_folder(recordings, request, out)
    shards = divide(recordings, request.shard_seconds)
    progress = Progress("features", sum(item.samples for item in recordings) / SAMPLE_RATE, "s of audio")
    details: dict[str, Details] = {}
    # A shard's file is written while the next shard is computed.
    with Beside(_save, depth=1) as saving:
        for number, shard in enumerate(shards):
            file = out / f"shard-{number:05d}.safetensors"
            chosen = [recordings[i] for i in shard]
            finished = _finished(file, chosen)
            if finished is None:
                tensors, finished = _extract(model, chosen, shard, request, progress)
                saving.put((file, tensors, finished, chosen))
                del tensors
            else:
                progress.resume_at(progress.done + sum(item.samples for item in chosen) / SAMPLE_RATE)
            details[file.name] = finished
    return _write_tables(model, recordings, details, out)


def _write_tables(model: Daisy, recordings: Sequence[Recording], details: dict[str, Details], out: Path) -> list[int]:
    """Write the index and the exits, of what is known of each shard's recordings; returns the exit layers."""
    found = [(shard, *item) for shard, items in details.items() for item in items]
    rows: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    stretches: list[dict[str, Any]] = []
    for index, (recording, (shard, layer, entropies, windows)) in enumerate(zip(recordings, found, strict=True)):
        seconds = round(recording.samples / SAMPLE_RATE, 4)
        frames = model.config.frames(recording.samples)
        rows.append({"number": index, "file": recording.path, "shard": shard, "key": str(index)})
        rows[-1] |= {"exit_layer": layer, "frames": frames, "seconds": seconds}
        table.append({"file": recording.path, "seconds": seconds, "exit_layer": layer, **_columns(entropies)})
        for begin, end, stop, values in windows:
            place = {"file": recording.path, "first_frame": begin, "frames": end - begin, "exit_layer": stop}
            stretches.append({**place, **_columns(values)})
    if stretches:
        write_csv(out / "windows.csv", list(stretches[0]), stretches)
    write_csv(out / "index.csv", list(rows[0]), rows)
    write_csv(out / "exits.csv", list(table[0]), table)
    return [layer for _, layer, _, _ in found]


def _columns(entropies: Values) -> dict[str, float | None]:
    return {f"entropy_{k}": value for k, value in enumerate(entropies, start=1)}


def _check_folder(recordings: Sequence[Recording], request: Request, out: Path) -> None:
    listing = "\n".join(f"{item.path} {item.samples}" for item in recordings)
    asked = {**dataclasses.asdict(request), "recordings": hashlib.sha256(listing.encode()).hexdigest()}
    file = out / "request.json"
    remove_remains(out, file.name)
    if file.exists():
        fix = "Choose a new folder, or delete this one"
        try:
            found = read_json(file)
        except DaisyError as error:
            raise DaisyError(error.problem, file=file, fix=fix) from None
        before = found if isinstance(found, dict) else {}
        different = [key for key in asked if before.get(key) != asked[key]]
        if different == ["recordings"]:
            raise DaisyError(
                "the folder holds features of other recordings, or of the same by other paths", file=file, fix=fix
            )
        if different:
            raise DaisyError(f"the folder holds features made with another {different[0]}", file=file, fix=fix)
        remove_remains(out, *_WRITTEN)
    elif any(out.iterdir()):
        raise DaisyError("the folder is not empty and holds no features", file=out, fix="Choose a new folder")
    else:
        write_json(file, asked)


def _finished(file: Path, recordings: Sequence[Recording]) -> Details | None:
    """Exits and entropies of a shard that is there; None if it is not, is damaged, or is of what files held before."""
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            told = json.loads((content.metadata() or {})[_TOLD])
            details, made_of = told["exits"], told["recordings"]
            whole = len(list(content.keys())) == len(details) == len(recordings)
    except (OSError, safetensors.SafetensorError, KeyError, json.JSONDecodeError):
        return None
    if whole and made_of != _digests(recordings):
        print(f"{file}: its recordings were replaced since, and it is made again", file=sys.stderr, flush=True)
        return None
    # An earlier release wrote no windows.
    return [(layer, entropies, more[0] if more else []) for layer, entropies, *more in details] if whole else None


def _digests(recordings: Sequence[Recording]) -> list[str]:
    """What the files hold: neither their length nor their time tells that reliably."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(digest, (item.path for item in recordings)))


def _extract(
    model: Daisy, recordings: Sequence[Recording], numbers: range, request: Request, progress: Progress
) -> tuple[dict[str, torch.Tensor], Details]:
    """The tensors of a shard by their names, on the CPU, and what its exits were."""
    tensors: dict[str, torch.Tensor] = {}
    details: dict[int, Detail] = {}
    device, storage = located(model.device), getattr(torch, request.storage)

    def waves(group: list[int]) -> tuple[list[int], Sent]:
        return group, Sent([read(recordings[i].path, samples=recordings[i].samples) for i in group], device)

    def keep(made: tuple[list[int], Fetched]) -> None:
        group, fetched = made
        # Copies where they are parts of one tensor of the batch: on a GPU they make room in the pinned buffers.
        apart = device.type == "cpu"
        found = [item if apart and item.is_contiguous() else item.clone() for item in fetched.arrived()]
        tensors.update(zip((str(numbers[i]) for i in group), found, strict=True))

    groups = batches([item.samples for item in recordings], request.batch_seconds)
    with Beside(keep) as keeping, contextlib.closing(ahead(groups, waves, *reading(device))) as found:
        for group, sent in found:
            with memory("a batch", "--batch-seconds, or --window for long recordings"):
                out = model(sent.arrived(), states=request.states, **request.options)
            chosen = out.features if request.states == "all" else [item[-1] for item in out.features]
            keeping.put((group, Fetched([item.to(storage) for item in chosen])))
            stretches = out.windows or [[]] * len(group)
            for i, layer, entropies, windows in zip(group, out.exit_layer, out.entropies, stretches, strict=True):
                own = [(one.begin, one.end, one.layer, _plain(one.entropies)) for one in windows]
                details[i] = layer, _plain(entropies), own
                progress.add(recordings[i].samples / SAMPLE_RATE)
    return tensors, [details[i] for i in range(len(recordings))]


def _plain(entropies: Sequence[float]) -> Values:
    return [None if value != value else value for value in entropies]


def _save(shard: tuple[Path, dict[str, torch.Tensor], Details, Sequence[Recording]]) -> None:
    file, tensors, details, recordings = shard
    with atomic(file) as temporary:
        told = json.dumps({"exits": details, "recordings": _digests(recordings)})
        safetensors.torch.save_file(tensors, temporary, {_TOLD: told})


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
