"""`daisy exits`: the entropy of every branch on one recording, and where it would stop."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from daisy.cli.stopping import add_stopping, stopping
from daisy.errors import DaisyError

SUMMARY = "Show the entropy per layer of one recording, and the layer at which it stops."
EXAMPLES = (
    "daisy exits daisy.safetensors speech.wav --threshold 1.2",
    "daisy exits daisy.safetensors speech.wav --rho 1.0 --strategy avg --task asr --png entropy.png",
)
WIDTH = 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("upstream", type=Path, help="DAISY checkpoint: a HuBERT with exit branches")
    parser.add_argument("file", type=Path, help="recording: WAV or FLAC, one channel, 16 kHz")
    parser.add_argument("--png", type=Path, metavar="OUT", help="draw a figure instead of text")
    add_stopping(parser)


def bars(entropies: Sequence[float], candidates: Sequence[int], tau: float | None, stop: int) -> str:
    """A bar per layer; ``|`` marks the threshold, ``*`` candidates, ``<`` the exit."""
    top = max([*entropies, tau or 0.0]) or 1.0
    lines = []
    for k, value in enumerate(entropies, start=1):
        row = list(("█" * round(WIDTH * value / top)).ljust(WIDTH + 1))
        if tau is not None:
            row[min(WIDTH, max(0, round(WIDTH * tau / top)))] = "|"
        mark = "*" if k in candidates else " "
        end = "  < stops here" if k == stop else ""
        lines.append(f"{k:3}{mark} {value:7.3f} {''.join(row)}{end}")
    return "\n".join(lines)


def explained(entropies: Sequence[float], candidates: Sequence[int], tau: float | None, stop: int) -> str:
    """What the marks of `bars` mean, and why it stops where it does."""
    if tau is None:
        return f"It always stops at layer {stop}; no entropy is asked."
    marks = "* a candidate, a layer at which it may stop; | the threshold.\n"
    if entropies[stop - 1] <= tau:
        return f"{marks}Layer {stop} is the first candidate whose entropy is at most the threshold: it stops there."
    last = "the last of all layers" if stop == len(entropies) else "the last candidate"
    return (
        f"{marks}No candidate's entropy is at most the threshold: it goes on to layer {stop}, {last}, and stops there."
    )


def draw(path: Path, title: str, entropies: Sequence[float], tau: float | None, stop: int) -> None:
    """The same as a figure."""
    from matplotlib.figure import Figure

    from daisy.common.files import atomic

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    layers = range(1, len(entropies) + 1)
    axes.plot(layers, entropies, marker="o", color="#2a6f97")
    axes.plot(stop, entropies[stop - 1], marker="o", markersize=11, color="#d1495b", label=f"stops at layer {stop}")
    if tau is not None:
        axes.axhline(tau, color="#d1495b", linestyle="--", linewidth=1, label=f"threshold {tau:.3f}")
    axes.set(xlabel="layer", ylabel="mean entropy (nats)", title=title, ylim=(0, None), xticks=list(layers))
    axes.legend(frameon=False)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def run(arguments: argparse.Namespace) -> None:
    """Measure, decide, show."""
    from daisy.common.audio import read
    from daisy.exits.rule import ExitRule
    from daisy.library.model import load

    if arguments.png and arguments.png.suffix.lower() not in ("", ".png"):
        raise DaisyError("the figure is a PNG", file=arguments.png, fix="Give it a name that ends in .png")
    model = load(arguments.upstream)
    if model.checkpoint.branches is None:
        raise DaisyError("the model has no exit branches", file=arguments.upstream, fix="Give a DAISY checkpoint")
    candidates, tau = model.exits(**stopping(arguments))
    entropies = model.all_layers([read(arguments.file)]).entropies[0]
    stop = ExitRule(candidates, tau).layer(entropies)
    line = tau if len(candidates) > 1 else None
    if arguments.png:
        draw(arguments.png, arguments.file.name, entropies, line, stop)
        print(f"{arguments.png}: stops at layer {stop} of {model.layers}")
        return
    print(f"{arguments.file}: mean entropy in nats per layer" + (f", threshold {tau:.3f}" if line is not None else ""))
    print(bars(entropies, candidates, line, stop))
    print(explained(entropies, candidates, line, stop))
