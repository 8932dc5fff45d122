"""What the benchmark was measured on."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import torch

from benchmarks.options import Options

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
"""What a processor's speed hangs on, of what Linux says it can do; the last three are ARM's."""


def describe(options: Options, part: str) -> dict[str, str | int | None]:
    """Processor or GPU, what it can do, threads, versions and rounds, and the day."""
    model, flags = _processor()
    if options.device == "cuda":
        model = f"{torch.cuda.get_device_name()} on {model}"
    own = part in ("growth", "agreement", "graph")  # these take a model that is there
    return {
        "processor": model,
        "flags": " ".join(flag for flag in FLAGS if flag in flags),
        "threads": options.threads,
        "torch": torch.__version__,
        "rounds": None if part in ("agreement", "graph") else options.rounds(part),
        "layers": None if own else options.shape.layers,
        "width": None if own else options.shape.dim,
        "classes": None if own else options.classes,
        "seconds": f"{options.seconds:g}",
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> tuple[str, set[str]]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = values.get("flags", values.get("Features", "")).split()
    return values.get("model name") or platform.processor() or platform.machine(), set(flags)
