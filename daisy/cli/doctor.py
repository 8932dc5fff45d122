"""`daisy doctor`: what this machine has, and what is missing for which use."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
from typing import Any

from daisy.common.gpus import visible
from daisy.common.processor import bfloat16_in_hardware

SUMMARY = "Say what this machine has, and what is missing for which use."
EXAMPLES = ("daisy doctor", "daisy doctor --json")

USES: dict[str, dict[str, tuple[str, ...]]] = {
    "library and command": {"packages": ("torch", "safetensors", "soundfile", "numpy")},
    "reproduction (make demo)": {
        "packages": ("torch", "torchaudio", "snakemake", "scikit-learn", "av", "pesq", "pystoi", "py-nanotts"),
        "programs": ("apt-get", "dpkg-deb"),
    },
    "cluster (--profile slurm)": {
        "packages": ("snakemake", "snakemake-executor-plugin-slurm"),
        "programs": ("sbatch", "sacct"),
    },
    "ONNX (daisy export-onnx)": {"packages": ("onnx", "onnxruntime")},
    "completion in the shell": {"packages": ("argcomplete",)},
    "peers (make test-peers)": {"packages": ("transformers",)},
}
"""What each use of the project needs."""

PAYS = 1.3
"""From what speed-up of its products on bfloat16 pays: it costs digits, which a few percent are not worth."""

REQUIRED = "library and command"
"""The use without which the command itself is not whole: its lack is an error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("--json", action="store_true", help="for programs")


def machine() -> dict[str, Any]:
    """Processor, memory, disk, and what torch can use."""
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory(),
        "free_disk_gib": round(shutil.disk_usage(".").free / 2**30, 1),
        "gpus": [],
    }
    if importlib.util.find_spec("torch"):
        import torch

        result["torch"] = torch.__version__
        result["bfloat16_in_hardware"] = bfloat16_in_hardware()
        result["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        result["bfloat16_speedup"] = round(bfloat16_speedup(), 1)
    return result


def bfloat16_speedup() -> float:
    """How many times as fast as in float32 this processor's matrix products are in bfloat16, measured."""
    import torch

    from daisy.common.speed import interleaved
    from daisy.hubert.products import Product

    x = torch.ones(1024, 1024)
    with torch.inference_mode():
        products = {str(kind): Product(x, None, kind) for kind in (torch.float32, torch.bfloat16)}
        seconds = interleaved(products, [x], rounds=5)
    return seconds[str(torch.float32)] / seconds[str(torch.bfloat16)]


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def missing(needs: dict[str, tuple[str, ...]]) -> list[str]:
    """What of `needs` this machine lacks."""
    result = []
    for package in needs.get("packages", ()):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            result.append(f"the Python package {package}")
    return result + [f"the program {name}" for name in needs.get("programs", ()) if shutil.which(name) is None]


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if the command itself lacks something."""
    facts = machine()
    lacks = {use: missing(needs) for use, needs in USES.items()}
    if arguments.json:
        print(json.dumps({"machine": facts, "missing": lacks}, indent=2))
        return 1 if lacks[REQUIRED] else 0
    bf16 = "bfloat16 in hardware" if facts.get("bfloat16_in_hardware") else "no bfloat16 in hardware"
    print(f"python {facts['python']}, torch {facts.get('torch', 'missing')}, {facts['system']}")
    print(f"{facts['cores']} cores ({bf16}), {facts['memory_gib']} GiB memory, {facts['free_disk_gib']} GiB disk free")
    if "bfloat16_speedup" in facts:
        gain = facts["bfloat16_speedup"]
        advice = "pays" if gain >= PAYS else "does not pay"
        said = f"so that compute.precision: bfloat16 {advice} on it"
        print(f"this processor's products in bfloat16: {gain} times as fast as in float32, {said}")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    unused = len(visible()) if "torch" in facts and not facts["gpus"] else 0
    if unused:
        none = f"{unused} can be seen, but torch finds none: it is built without CUDA, or newer than the driver"
    else:
        none = "none" if hidden is None else f"none (CUDA_VISIBLE_DEVICES={hidden} says which are visible)"
    print("GPU: " + (", ".join(facts["gpus"]) or none))
    for use, what in lacks.items():
        print(f"{'ok     ' if not what else 'missing'} {use}" + (f": {', '.join(what)}" if what else ""))
    return 1 if lacks[REQUIRED] else 0
