"""`daisy extract`: early-exit features of many recordings, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path

from daisy.cli.heads import add_heads, heads
from daisy.cli.stopping import add_stopping, stopping

SUMMARY = "Write early-exit features of recordings: shards, an index, and the exits as CSV."
EXAMPLES = (
    "daisy extract daisy.safetensors speech/ --rho 0.76 --strategy avg --task asr --out features/",
    "daisy extract daisy.safetensors a.wav b.flac --threshold 1.2 --out features/",
    "daisy extract hubert_base_ls960.pt @list.txt --layer 6 --states last --out features/",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("checkpoint", type=Path, help="file, or transformers folder")
    parser.add_argument(
        "files", nargs="+", metavar="FILES", help="WAV or FLAC, one channel, 16 kHz; folders; @list with one per line"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder; run again with the same to go on")
    add_heads(parser)
    parser.add_argument("--states", choices=("all", "last"), default="all", help="hidden states 0 to k, or the last")
    parser.add_argument("--storage", choices=("float16", "float32"), default="float32", help="(default: float32)")
    parser.add_argument("--batch-seconds", type=float, default=60.0, help="audio in a batch, padded (default: 60)")
    parser.add_argument("--shard-seconds", type=float, default=600.0, help="audio in a shard (default: 600)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the products")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    add_stopping(parser)


def run(arguments: argparse.Namespace) -> None:
    """Extract."""
    import torch

    from daisy.common.contents import digest
    from daisy.errors import DaisyError
    from daisy.library.extract import Request, find_recordings, write_shards
    from daisy.library.model import load

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        raise DaisyError("this machine has no CUDA device", fix="Leave --device out")
    for name in ("batch_seconds", "shard_seconds"):
        if not getattr(arguments, name) > 0:
            raise DaisyError(f"--{name.replace('_', '-')} is {getattr(arguments, name)}", fix="Give a positive number")
    recordings = find_recordings(arguments.files)
    given = heads(arguments)
    model = load(arguments.checkpoint, heads=given).to(arguments.device)
    request = Request(
        checkpoint=digest(arguments.checkpoint) + (f"-{given}" if given else ""),  # what features come from
        stopping=stopping(arguments),
        states=arguments.states,
        storage=arguments.storage,
        dtype=arguments.dtype,
        batch_seconds=arguments.batch_seconds,
        shard_seconds=arguments.shard_seconds,
    )
    model.exits(**request.stopping)
    half = arguments.dtype == "bfloat16"
    with torch.autocast(torch.device(arguments.device).type, torch.bfloat16, enabled=half):
        exits = write_shards(model, recordings, request, arguments.out)
    mean = sum(exits) / len(exits)
    print(f"{arguments.out}: {len(exits)} recordings, mean exit layer {mean:.2f} of {model.layers}")
