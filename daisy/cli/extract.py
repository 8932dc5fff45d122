"""`daisy extract`: early-exit features of many recordings, resumable."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daisy.cli.heads import add_heads, heads
from daisy.cli.stopping import add_stopping, stopping

if TYPE_CHECKING:
    from daisy.errors import DaisyError

SUMMARY = "Write early-exit features of recordings: shards, an index, and the exits as CSV."
EXAMPLES = (
    "daisy extract daisy.safetensors speech/ --rho 0.76 --strategy avg --task asr --out features/",
    "daisy extract daisy.safetensors a.wav b.flac --threshold 1.2 --out features/",
    "daisy extract hubert_base_ls960.pt @list.txt --layer 6 --states last --out features/ --skip-bad",
    "daisy extract daisy.safetensors lecture.wav --threshold 1.2 --per-window --states last --out features/",
)
SOME_SKIPPED = 3
"""The exit status if recordings were left out."""

NAMED = 20
"""As many of them are named at the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("checkpoint", type=Path, help="file, transformers folder, or tiny, which ships")
    parser.add_argument(
        "files", nargs="+", metavar="FILES", help="WAV or FLAC, one channel, 16 kHz; folders; @list with one per line"
    )
    parser.set_defaults(files_are="files")
    parser.add_argument("--out", type=Path, required=True, help="folder; run again with the same to go on")
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave recordings out that cannot be used, name them at the end and in skipped.csv, and exit with 3; "
        "each is read once more for that",
    )
    add_heads(parser)
    parser.add_argument("--states", choices=("all", "last"), default="all", help="hidden states 0 to k, or the last")
    parser.add_argument("--storage", choices=("float16", "float32"), default="float32", help="(default: float32)")
    parser.add_argument("--batch-seconds", type=float, default=60.0, help="audio in a batch, padded (default: 60)")
    parser.add_argument("--shard-seconds", type=float, default=600.0, help="audio in a shard (default: 600)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the products")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    add_stopping(parser)
    long = parser.add_argument_group("long recordings")
    long.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="recordings longer than this pass the layers in overlapping windows of this length (default: 150)",
    )
    long.add_argument(
        "--per-window", action="store_true", help="each window stops by itself (default: all of a recording together)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Extract; the exit status."""
    import torch

    from daisy.common.contents import digest
    from daisy.errors import DaisyError
    from daisy.library import lists, shipped
    from daisy.library.extract import Request, find_recordings, write_shards
    from daisy.library.model import load

    for name in ("threads", "batch_seconds", "shard_seconds"):
        given = getattr(arguments, name)
        if given is not None and not 0 < given < math.inf:
            raise DaisyError(f"--{name.replace('_', '-')} is {given}", fix="Give a positive number")
    if arguments.threads:
        torch.set_num_threads(min(arguments.threads, os.cpu_count() or 1))  # OpenMP dies of many thousands
    paths = lists.recordings(arguments.files)
    asked = heads(arguments)
    model = load(arguments.checkpoint, heads=asked).to(arguments.device)
    request = Request(
        checkpoint=digest(shipped.source(arguments.checkpoint))
        + (f"-{asked}" if asked else ""),  # what features come from
        stopping=stopping(arguments) | cutting(arguments),
        states=arguments.states,
        storage=arguments.storage,
        dtype=arguments.dtype,
        batch_seconds=arguments.batch_seconds,
        shard_seconds=arguments.shard_seconds,
    )
    model.exits(**stopping(arguments))
    skipped: list[DaisyError] | None = [] if arguments.skip_bad else None
    recordings = find_recordings(paths, model.config.receptive_field, skipped=skipped)
    half = arguments.dtype == "bfloat16"
    with torch.autocast(torch.device(arguments.device).type, torch.bfloat16, enabled=half):
        exits = write_shards(model, recordings, request, arguments.out)
    mean = sum(exits) / len(exits)
    print(f"{arguments.out}: {len(exits)} recordings, mean exit layer {mean:.2f} of {model.layers}")
    if skipped:
        return tell(skipped, arguments.out)
    (arguments.out / "skipped.csv").unlink(missing_ok=True)  # of an earlier call that was given more
    return 0


def cutting(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments that a model's call takes for long recordings, as far as they are not the default's.

    Raises:
        DaisyError: if there is no such window.
    """
    from daisy.hubert.windows import Windows

    found: dict[str, Any] = {"granularity": "window"} if arguments.per_window else {}
    if arguments.window is not None:
        found["window"] = Windows(arguments.window).seconds
        if math.isinf(found["window"]):
            found["window"] = "inf"  # JSON has none
    return found


def tell(skipped: Sequence[DaisyError], out: Path) -> int:
    """Name the recordings that were left out; the exit status for that."""
    from daisy.common.files import write_csv

    rows = [{"file": item.file, "problem": item.problem, "fix": item.fix} for item in skipped]
    write_csv(out / "skipped.csv", list(rows[0]), rows)
    print(f"{len(skipped)} recordings were left out; all of them are in {out / 'skipped.csv'}:", file=sys.stderr)
    for item in skipped[:NAMED]:
        print(f"  {item}", file=sys.stderr)
    if len(skipped) > NAMED:
        print(f"  and {len(skipped) - NAMED} more", file=sys.stderr)
    return SOME_SKIPPED
