"""How fast the paper's costly stages run on this machine, with random weights of HuBERT Base's shape.

Prints audio hours per hour, and each stage's share of what a plain matrix product reaches in the same run and
precision. Figures are ratios of one run: they say nothing about another machine, or another hour.

    python benchmarks/throughput.py                                   # a GPU if there is one
    python benchmarks/throughput.py --device cpu --seconds 20 --precision float32
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daisy import stage
from daisy.compute import Compute
from daisy.features import normalise
from daisy.files import write_json
from daisy.hubert.branches import Branches
from daisy.hubert.checkpoint import Checkpoint
from daisy.hubert.config import HubertConfig
from daisy.hubert.encoder import Hubert
from daisy.hubert.every_layer import every_layer
from daisy.label import nearest
from daisy.model_file import Downstream
from daisy.tasks.loading import task_class
from daisy.tasks.masking import Sources
from daisy.train_branches import branch_loss, frozen_states

CLASSES = 500
PAPER_HOURS = {"labels": 960.9, "branches": 20_000 * 160 / 3600}
"""Audio that the paper's run puts through: LibriSpeech once, and 20,000 batches of 160 s."""

LSTM = {"hidden": 256, "layers": 3, "dropout": 0.1}
OPTIONS: dict[str, dict[str, Any]] = {
    "asr": {"projection": 256, "stride": 1, **LSTM, "dropout": 0.2},
    "se": LSTM,
    "ss": LSTM,
}
MASKS = {"time_masks": 2, "time_frames": 40, "time_share": 1.0, "feature_masks": 4, "feature_dims": 50}


@dataclasses.dataclass(frozen=True)
class Timed:
    """A stage's measurement.

    Attributes:
        stage: Its name.
        hours_per_hour: Audio hours per hour of the clock.
        tera: Operations (two per multiply-accumulate) per second, in units of 10^12; None where not counted.
    """

    stage: str
    hours_per_hour: float
    tera: float | None


def clock(works: Mapping[str, Callable[[], object]], device: torch.device, repeat: int) -> dict[str, float]:
    """Median seconds of each work, taking turns, so that a machine that slows down slows them all; one turn is free."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeat + 1):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def peak(device: torch.device, precision: str, repeat: int) -> float:
    """Operations per second of a square matrix product, in units of 10^12."""
    size = 8192 if device.type == "cuda" else 2048
    kind = getattr(torch, precision)
    one, other = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    return 2 * size**3 / clock({"": lambda: one @ other}, device, repeat)[""] / 1e12


def model_of(layers: int, device: torch.device) -> Checkpoint:
    """HuBERT Base's shape with random weights, and branches."""
    torch.manual_seed(0)
    encoder = Hubert(HubertConfig(layers=layers)).eval().requires_grad_(False)
    branches = Branches(layers, CLASSES, encoder.config.dim)
    branches.reset(torch.Generator().manual_seed(0))
    return Checkpoint(encoder, None, branches, "before-norm", {}).to(device)


def upstream(model: Checkpoint, waves: list[Tensor], compute: Compute, repeat: int) -> list[Timed]:
    """The frozen forward alone, with all branches' entropies, with their training, and labelling."""
    config = model.encoder.config
    hours = sum(map(len, waves)) / 16_000 / 3600
    frames = sum(config.frames(len(wave)) for wave in waves)
    forward = sum(config.macs(len(wave), config.layers) for wave in waves)
    asked = frames * config.layers * CLASSES * config.dim
    assert model.branches is not None
    branches, device = model.branches, model.device
    optimizer = torch.optim.Adam(branches.parameters())
    targets = torch.randint(CLASSES, (frames,), device=device)
    assign = nearest(torch.randn(CLASSES, config.dim).numpy(), device)

    def alone() -> None:
        with compute.autocast():
            every_layer(model.encoder, None, "before-norm", waves)

    def asking() -> None:
        with compute.autocast():
            every_layer(model.encoder, branches, "before-norm", waves)

    def training() -> None:
        optimizer.zero_grad()
        states = frozen_states(model, waves, compute)
        with compute.autocast():
            loss, _ = branch_loss(branches, states, targets)
        loss.backward()
        optimizer.step()

    @torch.inference_mode()
    def labelling() -> None:
        with compute.autocast():
            found = model.encoder.output(waves, min(9, config.layers))
        assign(found.states.flatten(0, 1).float())

    ninth = sum(config.macs(len(wave), min(9, config.layers)) for wave in waves)
    # A gradient of a branch's weights costs what its output does.
    work = {
        "forward": (alone, forward),
        "forward and entropies": (asking, forward + asked),
        "branches": (training, forward + 2 * asked),
        "labels": (labelling, ninth),
    }
    seconds = clock({name: run for name, (run, _) in work.items()}, device, repeat)
    return [
        Timed(name, hours / seconds[name] * 3600, 2 * macs / seconds[name] / 1e12) for name, (_, macs) in work.items()
    ]


def heads(waves: list[Tensor], layers: int, device: torch.device, compute: Compute, repeat: int) -> list[Timed]:
    """A step of downstream training from kept states, by task; what the states cost is not in it."""
    config = HubertConfig(layers=layers)
    frames = torch.tensor([config.frames(len(wave)) for wave in waves])
    states = normalise(torch.randn(len(waves), int(frames.max()), layers + 1, config.dim, device=device))
    exits = torch.full((len(waves),), layers, device=device)
    result = []
    for name, options in OPTIONS.items():
        task = task_class(name)({**options, "specaugment": MASKS}, list("abcdefghijklmnopqrstuvwxyz '"))
        model = Downstream(task, layers, config.dim, "dynamic").to(device)
        optimizer = torch.optim.Adam(model.parameters())
        count = 1 if name == "se" else 2
        examples = [
            "a few words to align" if name == "asr" else Sources(wave.cpu(), wave.cpu().expand(count, -1))
            for wave in waves
        ]

        def step(model: Downstream = model, optimizer: Any = optimizer, examples: list[Any] = examples) -> None:
            optimizer.zero_grad()
            with compute.autocast():
                output = model(states, exits, frames)
            model.task.loss(output.float(), frames, examples).backward()
            optimizer.step()

        hours = sum(map(len, waves)) / 16_000 / 3600
        result.append(Timed(f"downstream {name}", hours / clock({"": step}, device, repeat)[""] * 3600, None))
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--seconds", type=float, default=160.0, help="audio in a batch (default: 160)")
    parser.add_argument("--length", type=float, default=10.0, help="of a recording, in seconds (default: 10)")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    arguments = parser.parse_args()
    stage.use_threads(arguments.threads)
    compute = Compute(arguments.device, arguments.precision)
    device = compute.place()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {arguments.threads} threads"
    count = max(1, round(arguments.seconds / arguments.length))
    samples = round(arguments.length * 16_000)
    waves = [torch.randn(samples - 160 * place, device=device) * 0.1 for place in range(count)]
    best = peak(device, arguments.precision, arguments.repeat)
    print(f"{name}, {arguments.precision}: a matrix product reaches {best:.2f} TFLOP/s")
    model = model_of(arguments.layers, device)
    rows = upstream(model, waves, compute, arguments.repeat) + heads(
        waves[:8], arguments.layers, device, compute, arguments.repeat
    )
    for row in rows:
        share = "" if row.tera is None else f", {100 * row.tera / best:.0f}% of the matrix product"
        print(f"{row.stage}: {row.hours_per_hour:,.0f} audio hours per hour{share}")
    by_name = {row.stage: row for row in rows}
    for stage_name in ("forward and entropies", "branches"):
        added = by_name["forward"].hours_per_hour / by_name[stage_name].hours_per_hour - 1
        print(f"{stage_name}: {100 * added:+.0f}% on the forward's time")
    for stage_name, hours in PAPER_HOURS.items():
        print(f"the paper's {stage_name}: {hours / by_name[stage_name].hours_per_hour:.1f} hours of this machine")
    if arguments.out:
        write_json(arguments.out, {"device": name, "peak": best, "stages": [dataclasses.asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
